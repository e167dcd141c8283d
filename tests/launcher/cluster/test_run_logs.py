"""The logs of all pods as one, on a cluster in memory whose containers a test lets speak."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from launcher.kube import InvalidError, LogRequest, UnreachableError
from launcher.run_logs import LogLine, Wanted, follow_logs, is_for_people, read_logs
from tests.launcher.cluster.fake_cluster import FakeCluster
from tests.launcher.cluster.samples import RUN, last_word, pod_of, submitted
from trainer.contract.progress import RunProgress, RunState


def stamped(second: float, text: str) -> str:
    whole, _, fraction = f"{second:.6f}".partition(".")
    return f"2027-01-15T08:00:{int(whole):02}.{fraction.rstrip('0')}Z {text}".replace(".Z", "Z")


def texts(lines: Iterator[LogLine]) -> list[tuple[int, str]]:
    return [(line.worker, line.text) for line in lines]


def test_lines_of_all_pods_come_in_the_order_they_were_written() -> None:
    cluster = submitted()
    first = pod_of(cluster, 1)
    cluster.logs[first] = [stamped(1.2, "b"), stamped(1.25, "c"), stamped(9, "last word of the failed one")]
    cluster.end_pod(first, 143)
    second = cluster.add_pod(RUN, 1)
    cluster.logs[second] = [stamped(11, "f")]
    cluster.logs[pod_of(cluster, 0)] = [stamped(1, "a"), stamped(10.000001, "e  with  spaces")]
    assert texts(read_logs(cluster, RUN)) == [
        (0, "a"), (1, "b"), (1, "c"), (1, "last word of the failed one"), (0, "e  with  spaces"), (1, "f"),
    ]  # fmt: skip
    assert texts(read_logs(cluster, RUN, Wanted(tail=1, workers=frozenset({0})))) == [(0, "e  with  spaces")]


def test_only_what_was_written_since() -> None:
    cluster = submitted()
    cluster.logs = {
        pod_of(cluster, 0): [stamped(1, "a"), stamped(3, "c")],
        pod_of(cluster, 1): [stamped(2, "b")],
    }
    wanted = Wanted(since=stamped(2, "").strip())
    assert texts(read_logs(cluster, RUN, wanted)) == [(1, "b"), (0, "c")]


def test_the_container_before_a_restart_in_place_speaks_too() -> None:
    cluster = submitted()
    pod = pod_of(cluster, 1)
    cluster.set_pod(pod, phase="Running", state={"running": {}}, ready=True, restarts=1)
    cluster.logs = {f"{pod} previous": [stamped(1, "before")], pod: [stamped(2, "after")]}
    assert texts(read_logs(cluster, RUN)) == [(1, "before"), (1, "after")]


def test_a_pod_that_has_not_started_says_nothing() -> None:
    cluster = submitted()
    cluster.logs.clear()
    assert texts(read_logs(cluster, RUN)) == []


def test_progress_is_for_programs() -> None:
    line = RunProgress(RunState.WAITING).to_line()
    assert not is_for_people(LogLine("t", 0, "p", line))
    assert is_for_people(LogLine("t", 0, "p", "epoch 3"))


class Speaking(FakeCluster):
    """Gives what is written to `logs` while a log is followed, until the test ends its container."""

    def __init__(self) -> None:
        super().__init__()
        self.changed = threading.Condition(threading.RLock())
        self.opened = 0
        self.breaks_off = False
        self.ended: set[str] = set()

    def log(self, pod: str, request: LogRequest) -> Iterator[str]:
        if not request.follow:
            yield from super().log(pod, request)
            return
        with self.changed:
            self.opened += 1
            if pod not in self.logs:
                raise InvalidError("log", "waiting to start")
            read = 0
            while True:
                while len(self.logs[pod]) == read and pod not in self.ended and not self.breaks_off:
                    self.changed.wait()
                if self.breaks_off:
                    self.breaks_off = False
                    raise UnreachableError("log", "broken off")
                if len(self.logs[pod]) == read:
                    return
                yield from self.logs[pod][read:]
                read = len(self.logs[pod])

    def write(self, pod: str, *lines: str) -> None:
        with self.changed:
            self.logs.setdefault(pod, []).extend(lines)
            self.changed.notify_all()

    def end(self, pod: str, code: int) -> None:
        with self.changed:
            self.ended.add(pod)
            self.end_pod(pod, code, last_word(code))
            self.changed.notify_all()


@pytest.fixture
def cluster() -> Speaking:
    made = submitted()
    speaking = Speaking()
    speaking.objects, speaking.logs = made.objects, {}
    return speaking


def test_following_goes_through_broken_streams_and_new_pods_to_the_end(cluster: Speaking) -> None:
    chief, first = pod_of(cluster, 0), pod_of(cluster, 1)
    cluster.write(chief, stamped(1, "a"))
    cluster.write(first, stamped(2, "b"))
    polled = threading.Event()
    lines = follow_logs(cluster, RUN, sleep=lambda _: polled.wait(0.01) and None)
    assert [next(lines).text, next(lines).text] == ["a", "b"]

    cluster.write(chief, stamped(3, "c"))
    assert next(lines).text == "c"
    with cluster.changed:
        cluster.breaks_off = True
        cluster.changed.notify_all()
    cluster.write(chief, stamped(4, "d"))
    assert next(lines).text == "d"

    cluster.end(first, 143)
    second = cluster.add_pod(RUN, 1)
    cluster.write(second, stamped(5, "e"))
    assert next(lines).text == "e"

    cluster.write(chief, stamped(6, "f"))
    cluster.end(second, 0)
    cluster.end(chief, 0)
    cluster.finish_job(RUN, 0, "Complete")
    assert [line.text for line in lines] == ["f"]


def test_following_ends_with_a_run_that_was_over_before(cluster: Speaking) -> None:
    chief = pod_of(cluster, 0)
    cluster.write(chief, stamped(1, "a"))
    for pod in (chief, pod_of(cluster, 1)):
        cluster.write(pod)
        cluster.end(pod, 0)
    cluster.finish_job(RUN, 0, "Complete")
    assert [line.text for line in follow_logs(cluster, RUN, sleep=lambda _: None)] == ["a"]


def test_following_tells_when_the_cluster_is_gone(cluster: Speaking) -> None:
    class Gone(Speaking):
        def list(self, *arguments, **more):  # type: ignore[no-untyped-def]
            if self.opened:
                raise UnreachableError("list pods", "nobody answers")
            return super().list(*arguments, **more)

    cluster.write(pod_of(cluster, 0), stamped(1, "a"))
    cluster.__class__ = Gone
    lines = follow_logs(cluster, RUN, sleep=lambda _: threading.Event().wait(0.01) and None)
    assert next(lines).text == "a"
    with pytest.raises(UnreachableError):
        next(lines)


def test_following_from_now_on_begins_with_what_is_new(cluster: Speaking) -> None:
    chief = pod_of(cluster, 0)
    cluster.write(chief, stamped(1, "old"))
    asked: list[LogRequest] = []
    real = cluster.log
    cluster.log = lambda pod, request: asked.append(request) or real(pod, request)  # type: ignore[method-assign]
    for pod in (chief, pod_of(cluster, 1)):
        cluster.write(pod)
        cluster.end(pod, 0)
    cluster.finish_job(RUN, 0, "Complete")
    list(follow_logs(cluster, RUN, Wanted(tail=0), sleep=lambda _: None))
    assert asked
    assert all(request.since is not None for request in asked)
