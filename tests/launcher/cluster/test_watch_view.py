"""The status of a run on a terminal."""

import io

from rich.console import Console

from launcher.run_reading import read_run
from launcher.run_status import status_of
from launcher.watch_view import WatchView
from tests.launcher.cluster.fake_cluster import START
from tests.launcher.cluster.samples import RUN, submitted


def test_it_is_drawn_anew_and_told_lines_stay_above() -> None:
    seen = read_run(submitted(), RUN)
    status = status_of(seen.origin, seen.observed, START)
    console = Console(
        file=io.StringIO(), force_terminal=True, width=100, height=40, _environ={"TERM": "xterm"}
    )
    with WatchView(console) as view:
        view.show(status)
        view.tell("worker 1: its Job is made anew\x1b]0;title")
        view.show(status)
    drawn = console.file.getvalue()  # type: ignore[attr-defined]
    assert drawn.count("place       epoch 3/80") >= 2
    assert "\x1b[32mrunning\x1b[0m" in drawn
    assert "its Job is made anew\\x1b]0;title" in drawn
