"""The status of a run on a terminal."""

import contextlib
import io
import os
from dataclasses import replace

import pytest

from launcher.run_reading import read_run
from launcher.run_status import RunStatus, status_of
from launcher.state_colours import with_states
from launcher.watch_view import WatchView
from tests.launcher.cluster.fake_cluster import START
from tests.launcher.cluster.samples import RUN, submitted
from tests.launcher.screen import Screen


class Seen(io.StringIO):
    """What is written appears on a screen, behind the driver that makes `\\r\\n` of `\\n`."""

    def __init__(self, columns: int, rows: int) -> None:
        super().__init__()
        self.screen = Screen(columns, rows)

    def write(self, text: str) -> int:
        self.screen.feed(text.replace("\n", "\r\n"))
        return len(text)

    def size(self) -> os.terminal_size:
        return os.terminal_size((self.screen.columns, self.screen.rows))


@pytest.fixture
def status() -> RunStatus:
    seen = read_run(submitted(), RUN)
    return status_of(seen.origin, seen.observed, START)


def test_it_is_drawn_anew_and_told_lines_stay_above(status: RunStatus) -> None:
    out = Seen(100, 40)
    with WatchView(out, with_states, out.size) as view:
        view.show(status)
        view.tell("worker 1: its Job is made anew\x1b]0;title")
        out.write("a key")
        view.show(status)
        shown = out.screen.styled()
        assert shown.startswith("worker 1: its Job is made anew\\x1b]0;title\nrun ")
        assert shown.count("place       epoch 3/80") == 1
        assert "<green>running</>" in shown
    assert out.screen.text() == "worker 1: its Job is made anew\\x1b]0;title"


def test_the_losses_that_were_seen_are_drawn(status: RunStatus) -> None:
    out = Seen(60, 40)
    with WatchView(out, with_states, out.size) as view:
        for loss in (4.0, 4.0, 2.0, 1.0):
            view.show(replace(status, metrics={"loss": loss, "accuracy": 0.5}))
        assert "loss        4 █▃▁ 1" in out.screen.text()
        view.show(replace(status, metrics={}))
        assert "loss        4 █▃▁ 1" in out.screen.text()
    assert out.screen.text() == ""


@pytest.mark.parametrize("columns", [30, 60, 100])
@pytest.mark.parametrize("rows", [2, 5, 9, 10, 30])
def test_whatever_the_size_nothing_of_it_is_left_behind(status: RunStatus, columns: int, rows: int) -> None:
    out = Seen(columns, rows)
    out.write("$ watch\n")
    with WatchView(out, with_states, out.size) as view:
        for _ in range(3):
            view.show(status)
            assert out.screen.text().count("experiment  digits") <= 1
            assert len(out.screen.text().splitlines()) <= rows
        if rows < 9:
            assert "… " in out.screen.text()
    assert out.screen.text() == "$ watch"


@pytest.mark.parametrize("columns", [40, 60, 200])
def test_a_change_of_the_width_leaves_nothing_behind(status: RunStatus, columns: int) -> None:
    out = Seen(100, 40)
    with WatchView(out, with_states, out.size) as view:
        view.show(status)
        out.screen.resize(columns, 40)
        view.show(status)
        assert out.screen.text().count("run         mine") == 1
        assert out.screen.text().startswith("run ")
    assert out.screen.text() == ""


def test_ctrl_c_leaves_what_is_drawn(status: RunStatus) -> None:
    out = Seen(100, 40)
    with contextlib.suppress(KeyboardInterrupt), WatchView(out, with_states, out.size) as view:
        view.show(status)
        raise KeyboardInterrupt
    assert "place       epoch 3/80" in out.screen.text()
