import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.html_report.charts import STYLES, TOGGLES, Chart, Detail, Series, figure
from launcher.html_report.marks import Mark
from launcher.html_report.markup import element
from tests.launcher.html_report.checked_html import Found, checked
from trainer.contract.run_events import EventKind


def drawn(chart: Chart) -> Found:
    page = element("html", element("body", figure(chart, "c", Detail())))
    return checked(f"<!DOCTYPE html>\n{page}")


def chart(*columns: list[float | None], **more) -> Chart:
    named = [Series(f"run {n}", list(enumerate(values, 1)), n) for n, values in enumerate(columns)]
    return Chart("loss", "loss", named, **more)


def classes(found: Found, name: str) -> list[str]:
    return [str(each.get("class")) for each in found.named(name)]


def label(found: Found) -> str:
    return str(next(each for each in found.named("svg") if each.get("role") == "img")["aria-label"])


def places(found: Found) -> list[float]:
    paths = [str(each["d"]) for each in found.named("path") if str(each["class"]).startswith("line c")]
    return [float(number) for path in paths for number in re.findall(r"-?\d+(?:\.\d+)?", path)]


def test_a_chart_is_told_in_words_and_as_a_table() -> None:
    found = drawn(chart([2.0, 0.5, 1.0], [2.5, 0.75, 1.5]))
    assert label(found) == (
        "Line chart: loss by epoch. run 0: 2 at epoch 1, 1 at epoch 3; lowest 0.5 at epoch 2, highest 2 at "
        "epoch 1. run 1: 2.5 at epoch 1, 1.5 at epoch 3; lowest 0.75 at epoch 2, highest 2.5 at epoch 1. The "
        "table below has the data."
    )
    assert len(found.named("tr")) == 4
    assert len(found.named("input")) == 2
    assert "epoch" in found.text


def test_curves_differ_in_colour_and_dashes() -> None:
    found = drawn(chart(*[[1.0, 2.0]] * STYLES))
    lines = [each for each in classes(found, "path") if each.startswith("line")]
    assert len(set(lines)) == STYLES


def test_of_very_many_curves_the_first_can_be_hidden() -> None:
    found = drawn(chart(*[[1.0, 2.0]] * (TOGGLES + 4)))
    assert len(found.named("input")) == TOGGLES


@pytest.mark.parametrize(
    "values", [[], [None], [math.nan], [1.0], [0.0, 0.0], [1e308, -1e308], [-1.0, 5e-324]]
)
def test_whatever_the_values_all_is_drawn_within_the_chart(values) -> None:
    found = drawn(chart(values))
    assert all(0 <= each <= 480 for each in places(found))


@given(st.lists(st.one_of(st.none(), st.floats()), max_size=30), st.booleans())
def test_any_values_are_drawn_within_the_chart(values, from_zero) -> None:
    found = drawn(chart(values, from_zero=from_zero))
    assert all(0 <= each <= 480 for each in places(found))


def test_a_single_epoch_is_a_dot() -> None:
    found = drawn(chart([0.5]))
    assert classes(found, "circle") == ["dot c0"]
    assert "line c0" not in " ".join(classes(found, "path"))


def test_what_is_no_number_is_a_gap_a_mark_and_a_sentence() -> None:
    found = drawn(chart([1.0, 0.9, math.nan, 0.5, 0.4, math.inf, 0.2, 0.1]))
    (line,) = [str(each["d"]) for each in found.named("path") if each["class"] == "line c0 d0"]
    assert line.count("M") == 3
    assert "broken c0" in classes(found, "path")
    assert "run 0 was NaN or infinite in epoch 3, 6." in found.text
    assert "NaN" in found.text
    assert "∞" in found.text


def test_ten_thousand_epochs_are_a_small_file() -> None:
    values = [math.exp(-epoch / 3000) + 0.1 * math.sin(epoch) for epoch in range(10_000)]
    whole = figure(chart(values, values), "c", Detail())
    assert len(whole) < 60_000
    assert "Data: 201 of 10000 epochs" in whole


def test_marks_of_one_kind_that_lie_close_become_one() -> None:
    marks = [Mark(EventKind.INTERRUPTED, f"kill {n}", 5 + n / 100) for n in range(10)]
    marks += [Mark(EventKind.STOPPED, "enough", 9.0), Mark(EventKind.BEST, "not here", 3.0)]
    marks += [Mark(EventKind.FAILED, "out of sight", 50.0), Mark(EventKind.FAILED, "nowhere")]
    found = drawn(chart([1.0] * 10, marks=marks))
    assert [each for each in classes(found, "path") if each.startswith("event")] == [
        "event interrupted",
        "event stopped",
    ]
    assert "interrupted (10 times)" in found.text


def test_the_changes_of_a_schedule_are_left_to_its_own_chart() -> None:
    marks = [Mark(EventKind.LEARNING_RATE_CHANGED, "", float(epoch)) for epoch in range(1, 40)]
    found = drawn(chart([1.0] * 40, marks=marks))
    assert not [each for each in classes(found, "path") if each.startswith("event")]


def test_the_best_point_is_marked() -> None:
    series = Series("validation", [(1, 1.0), (2, 0.5)], 1, best=(2, 0.5))
    found = drawn(Chart("loss", "loss", [series]))
    assert "mark best" in classes(found, "path")
    assert "best of validation: 0.5 at epoch 2" in found.text


def test_a_learning_rate_is_drawn_in_steps() -> None:
    found = drawn(chart([0.1, 0.1, 0.01], stepped=True))
    (line,) = [str(each["d"]) for each in found.named("path") if each["class"] == "line c0 d0"]
    assert "L" not in line
    assert "H" in line
