import subprocess
import sys
import threading

import pytest

from trainer.storage import BackgroundWriter, mark_writes


class Clock:
    """Seconds that pass only when told."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


class Blocker:
    """A write that has begun when `begun` is set, and ends when `go` is."""

    def __init__(self):
        self.begun, self.go = threading.Event(), threading.Event()

    def __call__(self):
        self.begun.set()
        assert self.go.wait(60)


def test_everything_is_written_in_order_by_the_end_of_a_flush():
    writer, written = BackgroundWriter(), []
    for number in range(100):
        writer.submit(str(number), lambda number=number: written.append(number))
    assert writer.flush() == ()
    assert written == list(range(100))


def test_the_newest_pending_write_of_a_key_replaces_the_older():
    writer, written, blocker = BackgroundWriter(), [], Blocker()
    writer.submit("other", blocker)
    assert blocker.begun.wait(60)
    for number in range(5):
        writer.submit("key", lambda number=number: written.append(number))
    blocker.go.set()
    writer.flush()
    assert written == [4]


def test_submitting_does_not_wait_for_a_write():
    writer, blocker = BackgroundWriter(), Blocker()
    writer.submit("slow", blocker)
    writer.submit("next", lambda: None)  # would hang here
    blocker.go.set()
    writer.flush()


def test_a_paced_write_waits_for_its_share_of_time_and_the_others_do_not():
    clock, written = Clock(), []
    writer = BackgroundWriter(pace=40, clock=clock)

    def costly():
        clock.now += 2.0  # takes two seconds: the next may start 80 seconds later
        written.append("costly")

    writer.submit("costly", costly, paced=True)
    writer.flush()
    cheap = Blocker()
    writer.submit("costly", costly, paced=True)
    writer.submit("cheap", cheap)
    assert cheap.begun.wait(60)  # overtook the costly one, submitted earlier
    clock.now = 81.9
    cheap.go.set()
    again = Blocker()
    writer.submit("again", again)
    assert again.begun.wait(60)
    assert written == ["costly"]
    clock.now = 82.0
    again.go.set()
    writer.submit("wake", lambda: None)
    assert writer.flush() == ()
    assert written == ["costly", "costly"]


def test_a_paced_write_happens_by_itself_when_its_time_has_come():
    writer, done = BackgroundWriter(pace=1.0), threading.Event()
    writer.submit("a", lambda: threading.Event().wait(0.05), paced=True)
    writer.submit("b", done.set, paced=True)
    assert done.wait(60)


def test_a_flush_does_not_wait_for_the_pace():
    clock = Clock()
    writer, written = BackgroundWriter(pace=1e9, clock=clock), []

    def costly():
        clock.now += 1.0
        written.append(clock.now)

    for _ in range(3):
        writer.submit("key", costly, paced=True)
        writer.flush()
    assert written == [1.0, 2.0, 3.0]


@pytest.mark.filterwarnings("ignore:writing:RuntimeWarning")
def test_a_failed_write_is_tried_again_at_the_next_submit_and_at_flush():
    writer, tries, blocked = BackgroundWriter(), [], [True]

    def write():
        tries.append(None)
        if blocked:
            raise OSError("disk full")

    writer.submit("log", write)
    (failure,) = writer.flush()
    assert (failure.key, str(failure.error)) == ("log", "disk full")
    first = len(tries)
    writer.submit("other", lambda: None)
    assert len(writer.flush()) == 1
    assert len(tries) > first
    blocked.clear()
    assert writer.flush() == ()
    after = len(tries)
    assert writer.flush() == ()
    assert len(tries) == after


def waiting(wait):
    """A thread that waits; it is over when the wait is."""
    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return thread


def test_a_mark_is_passed_when_all_that_came_before_it_is_written():
    writer, other, written, blocker = BackgroundWriter(), BackgroundWriter(), [], Blocker()
    writer.submit("running", blocker)
    assert blocker.begun.wait(60)
    writer.submit("before", lambda: written.append("before"))
    other.submit("elsewhere", lambda: written.append("elsewhere"))
    thread = waiting(mark_writes())
    late = Blocker()
    writer.submit("after", late)
    thread.join(0.1)
    assert thread.is_alive()
    blocker.go.set()
    thread.join(60)
    assert not thread.is_alive(), "it waits for what came after it"
    assert sorted(written) == ["before", "elsewhere"]
    late.go.set()
    writer.flush()


def test_a_mark_waits_neither_for_paced_writes_nor_for_those_that_were_replaced():
    writer, costly, blocker, newer = BackgroundWriter(), Blocker(), Blocker(), Blocker()
    writer.submit("costly", costly, paced=True)
    assert costly.begun.wait(60)
    writer.submit("costly as well", lambda: None, paced=True)
    writer.submit("running", blocker)
    assert blocker.begun.wait(60)
    writer.submit("key", lambda: None)
    thread = waiting(mark_writes())
    writer.submit("key", newer)
    blocker.go.set()
    thread.join(60)
    assert not thread.is_alive()
    newer.go.set()
    costly.go.set()
    writer.flush()


@pytest.mark.filterwarnings("ignore:writing:RuntimeWarning")
def test_at_a_mark_a_failed_write_is_tried_once_more():
    writer, tries = BackgroundWriter(), []

    def write():
        tries.append(None)
        if len(tries) != 3:
            raise OSError("disk full")

    writer.submit("log", write)
    assert len(writer.flush()) == 1
    before = len(tries)
    writer.mark()()
    assert len(tries) == before + 1
    while len(tries) < 3:
        writer.mark()()
    assert writer.flush() == ()
    writer.mark()()
    assert len(tries) == 3


def test_a_failure_is_shown_at_once():
    writer = BackgroundWriter()

    def write():
        raise OSError("disk full")

    def submit_and_flush():
        writer.submit("log", write)
        writer.flush()

    with pytest.warns(RuntimeWarning, match=r"writing log failed.*OSError: disk full"):
        submit_and_flush()


def test_a_flush_ends_even_where_warnings_are_errors():
    code = """
from trainer.storage import BackgroundWriter
writer = BackgroundWriter()
writer.submit("log", lambda: 1 / 0)
writer.flush()
print("flushed")
"""
    command = [sys.executable, "-W", "error::RuntimeWarning", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "flushed\n"
    assert "ZeroDivisionError" in done.stderr


def test_what_is_pending_is_written_when_the_process_ends_by_an_exception(tmp_path):
    code = f"""
from pathlib import Path
from trainer.storage import BackgroundWriter
writer = BackgroundWriter(pace=1e9)
writer.submit("a", lambda: sum(range(10_000)), paced=True)
writer.submit("b", lambda: Path({str(tmp_path / "b")!r}).write_text("x"), paced=True)
raise SystemExit(3)
"""
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 3
    assert (tmp_path / "b").read_text() == "x"


def test_no_thread_is_left_when_there_is_nothing_to_write():
    before = set(threading.enumerate())
    writer = BackgroundWriter()
    writer.submit("a", lambda: None)
    writer.flush()
    for thread in set(threading.enumerate()) - before:
        thread.join(10)
    assert set(threading.enumerate()) <= before
