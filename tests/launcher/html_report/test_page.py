"""The whole page: for good runs as a golden text, for bad ones safe, and for long ones small."""

from __future__ import annotations

import math
import os
import re
from pathlib import Path

import pytest

from launcher.html_report import page as page_module
from launcher.html_report.page import is_report, names, page
from launcher.html_report.reading import read_run
from tests.launcher.html_report.checked_html import checked
from tests.launcher.html_report.sample_runs import BEGAN, OLDER, SMALL, attempt, csv, event, make

GOLDEN = Path(__file__).parent / "golden"
HOSTILE = (
    "</title></script></style><script>alert('x')</script>\"' onload=alert(1) <img src=https://x.example/y>"
)
PACKAGE = Path(page_module.__file__).parent


def made(*directories: Path) -> str:
    return page([read_run(str(each)) for each in directories], BEGAN + 1000, "0.1.0")


@pytest.mark.parametrize(("name", "runs"), [("small", [SMALL]), ("older", [OLDER]), ("both", [SMALL, OLDER])])
def test_the_page_is_as_it_was(name: str, runs: list[Path]) -> None:
    text = made(*runs)
    checked(text)
    text = re.sub(r"(?s)<(style|script)>.*?</\1>", r"<\1></\1>", text)
    text = re.sub(r"sha256-[^&]*", "sha256-0", text).replace(str(SMALL.parents[1]), "/runs")
    text = text.replace("><", ">\n<")
    file = GOLDEN / f"{name}.html"
    if os.environ.get("PERDURE_WRITE_GOLDEN"):
        file.write_text(text, encoding="utf-8")
    assert text == file.read_text(encoding="utf-8")


def test_nothing_is_fetched_from_anywhere() -> None:
    for text in (made(SMALL), made(SMALL, OLDER)):
        found = checked(text)
        assert {each for each in found.addresses if not each.startswith("#")} == {"data:,"}
        # Nor may a browser that is told to.
        (policy,) = [meta["content"] for meta in found.named("meta") if "http-equiv" in meta]
        assert str(policy).startswith("default-src 'none';")
    for asset in ("style.css", "script.js"):
        text = (PACKAGE / asset).read_text(encoding="utf-8")
        assert not re.search(r"https?:|//[a-z]|url\(|@import|fetch\(|import\(|XMLHttp|eval\(", text)


def test_each_chart_is_accessible() -> None:
    found = checked(made(SMALL, OLDER))
    for drawing in found.named("svg"):
        assert drawing.get("aria-hidden") == "true" or (drawing["role"] == "img" and drawing["aria-label"])
    assert found.named("html")[0]["lang"] == "en"
    assert len(found.named("main")) == 1
    assert len(found.named("h1")) == 1
    assert len(found.named("caption")) == len(found.named("table"))


def test_what_strangers_wrote_is_only_text(tmp_path: Path) -> None:
    experiment = {"metadata": {"name": HOSTILE}, "spec": {"training": {HOSTILE: HOSTILE, "epochs": HOSTILE}}}
    head = f'epoch,"{HOSTILE.replace(chr(34), chr(34) * 2)}",learning_rate</p>'
    run = make(
        tmp_path / "<b>experiment & co" / '<i>run "1"',
        {
            "experiment.yaml": experiment,
            "code.json": {HOSTILE: HOSTILE},
            "environment.json": {HOSTILE: [HOSTILE], "GPUs": HOSTILE, "odd": "\ud800\u202e\x00"},
            "result.json": {
                "stopped_by": HOSTILE,
                "best": [{"monitor": HOSTILE, "epoch": 1, "value": 1.0}],
            },
            "logs/training.csv": csv("0,1.0,0.1", "1,nan,0.01", head=head),
            "events.jsonl": "".join(
                [
                    event("best", 3, 1, HOSTILE, epoch=1, monitor=HOSTILE, value=1.0),
                    event("interrupted", 5, 1, HOSTILE, cause=HOSTILE, epoch=1),
                    event("failed", 6, 1, HOSTILE, epoch=2),
                ]
            ),
            **attempt(1, 0, 5, error=HOSTILE, where=HOSTILE),
        },
    )
    other = make(
        tmp_path / "other" / "run", {"experiment.yaml": {"spec": {"a": 1}}, "logs/training.csv": csv()}
    )
    for text in (made(run), made(run, other)):
        found = checked(text)
        text.encode()
        assert len(found.named("script")) == 1
        assert len(found.named("style")) == 1
        assert not found.named("img")
        assert not found.named("b")
        assert not found.named("i")
        assert "<script>alert('x')</script>" in found.text
        assert {each for each in found.addresses if not each.startswith("#")} == {"data:,"}


def test_ten_thousand_epochs_and_hundreds_of_events_are_less_than_a_megabyte(tmp_path: Path) -> None:
    metrics = [f"metric_{n}" for n in range(15)]
    head = ["epoch", *metrics, *(f"val_{each}" for each in metrics), "learning_rate", "epoch_seconds"]
    rows = (
        ",".join(
            [
                str(epoch),
                *(repr(math.sin(epoch * n) / 3) for n in range(1, 31)),
                repr(1e-3 / (epoch + 1)),
                "1.5",
            ]
        )
        for epoch in range(10_000)
    )
    events = "".join(
        event(
            "best", epoch, 1, f"val_metric_1 in epoch {epoch}", epoch=epoch, monitor="val_metric_1", value=1.0
        )
        for epoch in range(1, 700)
    )
    files = {"logs/training.csv": csv(*rows, head=",".join(head)), "events.jsonl": events}
    run = make(tmp_path / "x" / "long", files | attempt(1, 0, 15_000))
    text = made(run)
    checked(text)
    assert len(text.encode()) < 1_000_000
    assert "Events: 300 of 699" in text


@pytest.mark.parametrize(
    "files",
    [
        attempt(1, 0, None),
        {"experiment.yaml": {}},
        {"logs/training.csv": csv("0,1.0,NA")},
        {"logs/training.csv": csv("0,nan,inf"), "events.jsonl": ""},
        {"events.jsonl": event("started", 1e300) + "{\n" + event("failed", -1e300, 5, epoch=3)}
        | attempt(1, 0, 0),
        {"result.json": {}, "environment.json": {"GPUs": ["A"]}},
        attempt(1, 0, 5, "failure", ended_run=True),
    ],
)
def test_whatever_a_run_left_behind_there_is_a_page(tmp_path: Path, files: dict) -> None:
    run = make(tmp_path / "x" / "a", files)
    checked(made(run))
    checked(made(run, SMALL))


def test_names_are_as_short_as_tells_them_apart(tmp_path: Path) -> None:
    runs = [
        read_run(str(make(tmp_path / path, {"experiment.yaml": {}})))
        for path in ("s/x/a", "s/x/b", "s/y/a", "t/x/a")
    ]
    assert names(runs[:2]) == ["a", "b"]
    assert names(runs[:3]) == ["x/a", "x/b", "y/a"]
    assert names(runs) == [run.directory for run in runs]


def test_a_report_knows_another() -> None:
    assert is_report(made(SMALL).encode()[:1000])
    assert not is_report(b"<!DOCTYPE html><html>")


BACKGROUNDS = ("page", "paper")


@pytest.mark.parametrize("dark", [False, True])
def test_colours_can_be_told_from_the_paper(dark: bool) -> None:
    style = (PACKAGE / "style.css").read_text(encoding="utf-8")
    pairs = dict(re.findall(r"--(\w+): light-dark\((#\w+), #\w+\)", style))
    if dark:
        pairs = dict(re.findall(r"--(\w+): light-dark\(#\w+, (#\w+)\)", style))
    for paper in BACKGROUNDS:
        for name in ("ink", "quiet", "link", "good", "bad", "wait"):
            assert contrast(pairs[name], pairs[paper]) >= 4.5, (name, paper)
        for number in range(8):
            assert contrast(pairs[f"c{number}"], pairs[paper]) >= 3.0, (number, paper)


def contrast(one: str, other: str) -> float:
    """As WCAG 2 defines it."""
    bright, dim = sorted((luminance(one), luminance(other)), reverse=True)
    return (bright + 0.05) / (dim + 0.05)


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [each / 12.92 if each <= 0.03928 else ((each + 0.055) / 1.055) ** 2.4 for each in parts]
    return sum(weight * each for weight, each in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
