"""The page in a real browser: nothing is fetched, nothing is too wide, and it can be looked at."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher.html_report.page import page
from launcher.html_report.reading import read_run
from tests.launcher.html_report.browser import Browser, browser, chromium
from tests.launcher.html_report.sample_runs import BEGAN, OLDER, SMALL

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(chromium() is None, reason="there is no chromium on the PATH"),
]

SIZES = [(400, 800), (1300, 1000)]


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("reports")
    for name, directories in (("one", [SMALL]), ("two", [SMALL, OLDER])):
        text = page([read_run(str(each)) for each in directories], BEGAN + 1000, "0.1.0")
        (folder / f"{name}.html").write_text(text, encoding="utf-8")
    return {name: folder / f"{name}.html" for name in ("one", "two")}


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(str(chromium()), tmp_path_factory.mktemp("profile")) as found:
        yield found


@pytest.mark.parametrize("name", ["one", "two"])
@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("dark", [False, True])
def test_it_is_shown_whole_and_asks_for_nothing(
    opened: Browser, reports: dict[str, Path], tmp_path: Path, name: str, width: int, height: int, dark: bool
) -> None:
    url = reports[name].as_uri()
    shown = opened.page()
    shown.look(url, width, height, dark=dark)
    # All that is closed is open, too.
    shown.value("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    assert shown.value("document.documentElement.scrollWidth") == width
    shown.screenshot(tmp_path / f"{name}-{width}-{'dark' if dark else 'light'}.png")
    assert shown.requests == [url]
    assert shown.complaints == []
    background = shown.value("getComputedStyle(document.body).backgroundColor")
    assert background == ("rgb(20, 23, 28)" if dark else "rgb(246, 247, 249)")


def test_colours_and_curves_are_switched_without_a_script(opened: Browser, reports: dict[str, Path]) -> None:
    shown = opened.page()
    shown.call("Emulation.setScriptExecutionDisabled", value=True)
    shown.look(reports["one"].as_uri(), 1300, 1000, dark=False)
    # The page's own script is off, what is asked from outside runs.
    shown.value("document.getElementById('theme-dark').click()")
    assert shown.value("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 28)"
    shown.value("document.querySelector('#curve-1 .t1').click()")
    assert shown.value("getComputedStyle(document.querySelector('#curve-1 .s1')).display") == "none"
    assert shown.value("getComputedStyle(document.querySelector('#curve-1 .s0')).display") != "none"


def test_a_pointer_over_a_chart_reads_its_values(opened: Browser, reports: dict[str, Path]) -> None:
    shown = opened.page()
    shown.look(reports["one"].as_uri(), 1300, 1000, dark=False)
    corners = shown.value(
        "(() => { const box = document.querySelector('#curve-1 svg').getBoundingClientRect();"
        " return [box.left, box.top, box.width, box.height]; })()"
    )
    left, top, width, height = corners
    at = {"x": left + width * (68 + 400 * 3 / 5) / 480, "y": top + height / 2}
    shown.call("Input.dispatchMouseEvent", type="mouseMoved", **at)
    assert shown.value("document.querySelector('#curve-1 .readout').textContent") == (
        "epoch 4: training 0.375, validation 0.3438"
    )
