"""The notifications of an experiment file."""

from typing import Any

import pytest

from trainer.contract.notifications import NotificationSpec, notification_problems, url_variables


def problems(*entries: Any, pod: Any = None) -> list[tuple[str, str]]:
    found = notification_problems({"notifications": list(entries), "pod": pod or {}})
    return [(".".join(map(str, path)), wrong) for path, wrong, _ in found]


def test_the_defaults_tell_what_somebody_has_to_look_at() -> None:
    spec = NotificationSpec.model_validate({"to": "slack"})
    assert spec.on == ("end", "failure", "stall")
    assert (spec.when, spec.key, spec.stall_after) == ((), "url", 900)
    assert spec.url_variable == "SLACK_WEBHOOK_URL"
    assert NotificationSpec.model_validate(spec.model_dump(mode="json")) == spec


def test_one_condition_needs_no_list() -> None:
    spec = NotificationSpec.model_validate({"to": "webhook", "when": "loss < 1", "stall_after": "1h"})
    assert (spec.when, spec.stall_after, spec.url_variable) == (("loss < 1",), 3600, "WEBHOOK_URL")


@pytest.mark.parametrize(
    ("entry", "path", "wrong"),
    [
        ({"to": "slack", "on": []}, "notifications.0", "tells nothing"),
        ({"to": "slack", "on": None, "when": []}, "notifications.0", "tells nothing"),
        ({"to": "slack", "on": ["end", "end"]}, "notifications.0.on.1", "given twice"),
        (
            {"to": "slack", "when": "loss"},
            "notifications.0.when",
            "column 5: unexpected the end behind 'loss'",
        ),
        ({"to": "slack", "when": ["a > 1", "b <"]}, "notifications.0.when.1", "column 4: unexpected the end"),
        ({"to": "slack", "when": "a > or b 1"}, "notifications.0.when", "column 5: unexpected 'or'"),
        (
            {"to": "slack", "when": "a > 1 and b plateaus 3"},
            "notifications.0.when",
            "b plateaus 3 is nothing",
        ),
        ({"to": "slack", "when": ["a > 1", "a > 1"]}, "notifications.0.when.1", "given twice"),
        ({"to": "slack", "variable": "PERDURE_X"}, "notifications.0.variable", "reserved for Perdure"),
        ({"to": "slack", "variable": "HOME"}, "notifications.0.variable", "reserved for Perdure"),
    ],
)
def test_what_cannot_be_meant_is_told(entry: dict[str, Any], path: str, wrong: str) -> None:
    [(where, what)] = problems(entry)
    assert where == path
    assert what.startswith(wrong) if "when" in entry else what == wrong


def test_no_two_entries_share_a_variable() -> None:
    entries = [{"to": "slack"}, {"to": "webhook"}, {"to": "slack"}, {"to": "webhook", "variable": "OWN"}]
    told = "same variable as notifications.0: SLACK_WEBHOOK_URL"
    assert problems(*entries) == [("notifications.2", told)]


def test_a_secrets_variable_is_in_no_other_place() -> None:
    pod = {"env": {"SLACK_WEBHOOK_URL": {"secret": "a", "key": "b"}}}
    assert problems({"to": "slack"}, pod=pod) == []
    assert problems({"to": "slack", "secret": "chat"}, pod=pod) == [
        ("notifications.0", "SLACK_WEBHOOK_URL is in pod.env as well")
    ]


def test_what_is_of_another_type_is_left_to_the_fields() -> None:
    for odd in (None, 1, "x", [1, None, {"to": 3, "on": 4, "when": 5, "variable": 6}]):
        assert notification_problems({"notifications": odd, "pod": 7}) == []


def test_the_variables_of_an_experiment() -> None:
    entries = [{"to": "slack", "variable": None}, {"to": "webhook", "variable": "OWN"}]
    assert url_variables({"spec": {"notifications": entries}}) == {"SLACK_WEBHOOK_URL", "OWN"}
    assert url_variables({}) == frozenset()


def test_a_stream_cannot_have_the_variable_that_training_processes_do_not_see():
    streams = [{"to": "http", "variable": "HOOK"}, {"to": "file"}, {"to": "http"}]
    spec = {"callbacks": {"stream": streams}, "notifications": [{"to": "webhook", "variable": "HOOK"}]}

    [(path, wrong, _)] = notification_problems(spec)

    assert path == ("callbacks", "stream", 0, "variable")
    assert wrong == "HOOK is that of notifications.0, which no training process sees"
    spec["notifications"] = [{"to": "webhook", "variable": "TELEMETRY_URL"}]
    assert [path for path, *_ in notification_problems(spec)] == [("callbacks", "stream", 2, "variable")]
    for odd in ({"stream": 7}, {"stream": [7, {"to": "http", "variable": []}]}, 7):
        assert notification_problems({**spec, "callbacks": odd, "notifications": []}) == []
