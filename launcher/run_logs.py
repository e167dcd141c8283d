"""The logs of all pods of a run as one, in the order in which they were written."""

import heapq
import queue
import threading
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from launcher import naming, raw_objects
from launcher.kube import JOB, POD, InvalidError, Kube, KubeError, LogRequest, NotFoundError
from launcher.observed import Pod
from trainer.contract.pod import PROGRESS_PREFIX

POLL_SECONDS = 1.0
"""Between two looks for new pods, and before a container's log is asked for again."""


@dataclass(frozen=True, order=True)
class LogLine:
    """A line of a worker's log; sorts by time.

    Attributes:
        time: When it was written, as RFC 3339 with nine digits of a second.
        worker: Whose it is.
        pod: The pod that wrote it.
        text: What it says.
    """

    time: str
    worker: int
    pod: str
    text: str


@dataclass(frozen=True)
class Wanted:
    """Which lines of a run's logs.

    Attributes:
        tail: Of each container only so many of its last lines; None for all.
        workers: Only of these workers; of all if empty.
        since: Only what was written at or after this time, as RFC 3339; None for all.
    """

    tail: int | None = None
    workers: frozenset[int] = frozenset()
    since: str | None = None


ALL = Wanted()
"""Every line."""


def read_logs(kube: Kube, run: str, wanted: Wanted = ALL) -> Iterator[LogLine]:
    """The lines that have been written so far, merged by time; of failed predecessors too.

    Args:
        kube: The cluster.
        run: The run's name.
        wanted: Which lines.
    """
    streams = [
        _lines(
            kube, pod, LogRequest(previous=previous, tail=wanted.tail, since=wanted.since, timestamps=True)
        )
        for pod in _pods(kube, run, wanted.workers)
        for previous in ((True, False) if pod.restarts else (False,))
    ]
    return heapq.merge(*streams)


def follow_logs(
    kube: Kube, run: str, wanted: Wanted = ALL, sleep: Callable[[float], None] = time.sleep
) -> Iterator[LogLine]:
    """The lines so far, and new ones as they come, until the run has ended or is gone.

    Args:
        kube: The cluster.
        run: The run's name.
        wanted: Which of the lines so far, and of which workers the new ones.
        sleep: Waits for so many seconds.

    Raises:
        KubeError: The pods could not be listed.
    """
    if wanted.tail == 0:
        wanted = replace(wanted, since=rfc3339(time.time()))
    follower = _Follower(kube, run, wanted, sleep)
    for line in read_logs(kube, run, wanted):
        follower.seen[line.pod] = line.time
        yield line
    yield from follower.lines()


class _Follower:
    """A thread that looks for pods and for the end of the run, and a thread for each pod's log.

    Attributes:
        seen: Time of the last line of each pod that is known.
    """

    def __init__(self, kube: Kube, run: str, wanted: Wanted, sleep: Callable[[float], None]) -> None:
        self._kube, self._run, self._wanted, self._sleep = kube, run, wanted, sleep
        self._lines: queue.SimpleQueue[LogLine | KubeError | None] = queue.SimpleQueue()
        self.seen: dict[str, str] = {}

    def lines(self) -> Iterator[LogLine]:
        """New lines as they come."""
        threading.Thread(target=self._watch, daemon=True).start()
        while (each := self._lines.get()) is not None:
            if isinstance(each, KubeError):
                raise each
            yield each

    def _watch(self) -> None:
        threads: dict[str, threading.Thread] = {}
        ended = False
        try:
            while not ended:
                # Asked for first: whatever a run that has ended had to say is then in the pods below.
                ended = self._has_ended()
                for pod in _pods(self._kube, self._run, self._wanted.workers):
                    if pod.name not in threads:
                        threads[pod.name] = threading.Thread(target=self._follow, args=(pod,), daemon=True)
                        threads[pod.name].start()
                if not ended:
                    self._sleep(POLL_SECONDS)
            for thread in threads.values():
                thread.join()
            self._lines.put(None)
        except KubeError as error:
            self._lines.put(error)

    def _has_ended(self) -> bool:
        jobs = raw_objects.jobs(self._kube.list(JOB, naming.run_selector(self._run)))
        if any(job.stopped for job in jobs.values()):
            return not any(pod.live for pod in _pods(self._kube, self._run))
        return not jobs or (0 in jobs and jobs[0].finished)

    def _follow(self, pod: Pod) -> None:
        """Reads a pod's log to its end, through restarts of its container."""
        while True:
            last = self.seen.get(pod.name)
            request = LogRequest(since=last or self._wanted.since, follow=True, timestamps=True)
            try:
                for line in _lines(self._kube, pod, request):
                    if last is None or line.time > last:
                        self._lines.put(line)
                        last = self.seen[pod.name] = line.time
                if not self._is_live(pod):
                    return
            except KubeError:
                pass  # The look for the end of the run tells if the server is gone for good.
            self._sleep(POLL_SECONDS)

    def _is_live(self, pod: Pod) -> bool:
        try:
            (found,) = raw_objects.pods([self._kube.get(POD, pod.name)])
        except NotFoundError:
            return False
        return found.uid == pod.uid and found.live


def rfc3339(time: float) -> str:
    """Seconds since 1970 in the form of a log's times."""
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _pods(kube: Kube, run: str, workers: Collection[int] = ()) -> list[Pod]:
    found = raw_objects.pods(kube.list(POD, naming.run_selector(run)))
    return [pod for pod in found if not workers or pod.worker in workers]


def _lines(kube: Kube, pod: Pod, request: LogRequest) -> Iterator[LogLine]:
    try:
        for line in kube.log(pod.name, request):
            stamp, _, text = line.partition(" ")
            yield LogLine(_padded(stamp), pod.worker, pod.name, text)
    except (NotFoundError, InvalidError):
        return  # It has not started, or is gone: there is nothing to read.


def _padded(stamp: str) -> str:
    """RFC 3339 with nine digits of a second, so that text sorts as time does."""
    whole, _, fraction = stamp.removesuffix("Z").partition(".")
    return f"{whole}.{fraction:0<9}Z"


def is_for_people(line: LogLine) -> bool:
    """Whether a line is not one that tells programs of the run's progress."""
    return not line.text.startswith(PROGRESS_PREFIX)
