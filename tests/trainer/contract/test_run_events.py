"""The events of a run: a line each, read back equal, told apart by their keys, and documented."""

import json
import math
import re
from dataclasses import fields, replace
from pathlib import Path

import pytest

from trainer.contract.attempts import CauseKind
from trainer.contract.exit_codes import ExitCode
from trainer.contract.run_events import EventKind, RunEvent, from_lines
from trainer.contract.telemetry import Delivery
from trainer.policies.divergence import Danger

DOCUMENT = (Path(__file__).resolve().parents[3] / "docs" / "events.md").read_text(encoding="utf-8")
PLAIN = RunEvent(EventKind.STARTED, 1795860484.25, 1, "training begins")
FULL = RunEvent(EventKind.BEST, 2.5, 3, "a line", 4, 1, "val_loss", 0.125, 0.5, "disruption", 2.25)


def table(heading: str) -> list[list[str]]:
    """The rows of the first table below a heading, without their head."""
    section = DOCUMENT.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows[2:]]


@pytest.mark.parametrize("event", [PLAIN, FULL, *(replace(FULL, kind=kind) for kind in EventKind)])
def test_an_event_is_read_back_as_it_was(event: RunEvent) -> None:
    assert from_lines(event.to_line()) == [event]


def test_what_is_not_known_is_left_out() -> None:
    assert json.loads(PLAIN.to_line()) == {
        "kind": "started",
        "time": 1795860484.25,
        "attempt": 1,
        "message": "training begins",
    }


@pytest.mark.parametrize("value", [math.inf, -math.inf])
def test_numbers_that_json_lacks_are_read_back(value: float) -> None:
    line = replace(FULL, value=value).to_line()
    assert isinstance(json.loads(line)["value"], str)
    assert from_lines(line)[0].value == value


def test_a_value_that_is_no_number_is_read_back() -> None:
    (event,) = from_lines(replace(FULL, value=math.nan).to_line())
    assert event.value is not None
    assert math.isnan(event.value)


def test_an_event_is_one_line_whatever_its_message() -> None:
    event = replace(PLAIN, message="one\ntwo\r\u2028three \u00e4")
    assert len(event.to_line().splitlines()) == 1
    assert from_lines(event.to_line()) == [event]


@pytest.mark.parametrize(
    "line",
    [
        "",
        "no JSON",
        FULL.to_line()[:-9],
        "null",
        "5",
        "[]",
        '"kind"',
        "{}",
        '{"kind": "started", "time": "noon", "attempt": 1, "message": ""}',
        '{"kind": "started", "time": 1.0, "attempt": 1}',
        '{"kind": "of a later version", "time": 1.0, "attempt": 1, "message": ""}',
        '{"kind": "started", "time": "Infinity", "attempt": 1, "message": ""}',
        '{"kind": "started", "time": 1e308, "attempt": 1, "message": ""}',
        '{"kind": "started", "time": 1.0, "attempt": 1' + 400 * "0" + ', "message": ""}',
        '{"kind": "best", "time": 1.0, "attempt": 1, "message": "", "epoch": -1}',
        '{"kind": "best", "time": 1.0, "attempt": 1, "message": "", "epoch": 1' + 400 * "0" + "}",
        "[" * 100_000,
    ],
)
def test_lines_of_other_versions_and_none_at_all_are_left_out(line: str) -> None:
    assert from_lines(f"{PLAIN.to_line()}\n{line}\n{FULL.to_line()}\n") == [PLAIN, FULL]


def test_fields_of_later_versions_are_ignored() -> None:
    line = json.dumps({**json.loads(PLAIN.to_line()), "later": [1]})
    assert from_lines(line) == [PLAIN]


BY_EPOCH = {
    EventKind.FINISHED,
    EventKind.BEST,
    EventKind.LEARNING_RATE_CHANGED,
    EventKind.WATCHDOG_ALERT,
    EventKind.BEST_NOT_STORED,
}
SAME = {
    "attempt": {EventKind.STARTED, *BY_EPOCH},
    "epoch": set(EventKind) - BY_EPOCH,
    "monitor": set(EventKind) - {EventKind.BEST, EventKind.LEARNING_RATE_CHANGED, EventKind.BEST_NOT_STORED},
    "time": set(EventKind) - {EventKind.CHECKPOINT_FAILED, EventKind.NOTIFICATION_LOST, EventKind.STOPPED},
    "message": set(EventKind) - {EventKind.NOTIFICATION_LOST},
    "value": set(EventKind),
    "worker": set(EventKind),
    "before": set(EventKind),
    "cause": set(EventKind) - {EventKind.FINISHED, EventKind.WATCHDOG_ALERT, EventKind.BEST_NOT_STORED},
    "seconds": set(EventKind),
    "count": set(EventKind),
}
"""Kinds of which an event stays the same where it differs from another one in nothing but this field."""


@pytest.mark.parametrize("field", SAME)
def test_the_key_says_what_is_the_same_event(field: str) -> None:
    other = "other" if isinstance(getattr(FULL, field), str) else 99
    for kind in EventKind:
        one = replace(FULL, kind=kind)
        assert (one.key == replace(one, **{field: other}).key) == (kind in SAME[field]), kind


def test_events_of_two_kinds_are_never_the_same() -> None:
    assert len({replace(FULL, kind=kind).key for kind in EventKind}) == len(EventKind)


def test_reasons_are_words_that_kubernetes_takes() -> None:
    reasons = {kind: replace(PLAIN, kind=kind).reason for kind in EventKind}
    assert reasons[EventKind.LEARNING_RATE_CHANGED] == "LearningRateChanged"
    assert all(re.fullmatch("([A-Z][a-z]+)+", reason) for reason in reasons.values())
    assert len(set(reasons.values())) == len(EventKind)


def test_the_document_tells_every_field() -> None:
    assert [row[0] for row in table("Fields")] == [f"`{field.name}`" for field in fields(RunEvent)]
    always = [field.name for field in fields(RunEvent) if field.default is not None]
    assert always == [row[0].strip("`") for row in table("Fields")[:4]]


def test_the_document_tells_every_kind_its_key_and_its_type() -> None:
    rows = {row[0].strip("`"): row for row in table("Kinds")}
    assert list(rows) == [kind.value for kind in EventKind]
    for kind in EventKind:
        *_, same, type_ = rows[kind]
        event = replace(FULL, kind=kind)
        assert type_ == ("Warning" if event.is_warning else "Normal")
        names = re.findall(r"`(\w+)`", same)
        assert tuple(getattr(event, name) for name in names) == event.key, kind
        told = re.findall(r"`(\w+)`", rows[kind][2])
        causes = {
            "epochs",
            "early_stopping",
            "deadline",
            "read_back",
            "given_up",
            *Danger,
            *Delivery,
            *CauseKind,
            *(code.name.lower() for code in ExitCode),
        }
        assert set(told) - causes <= {field.name for field in fields(RunEvent)}, kind


def test_the_examples_of_the_document_are_events() -> None:
    lines = DOCUMENT.partition("```json\n")[2].partition("```")[0].splitlines()
    events = from_lines("\n".join(lines))
    assert [event.to_line() for event in events] == lines
    assert len({event.key for event in events}) == len(lines) >= 6
