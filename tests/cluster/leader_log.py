"""What the leader of a run says, in whatever pod it lives: worker 0's log, followed over restarts."""

import re
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from tests.cluster.kubectl import Kubectl, NotInTimeError, Object
from trainer.supervisor.pod import PREFIX


@dataclass(frozen=True)
class Line:
    """A line of a log.

    Attributes:
        time: When it was written, in seconds since 1970.
        text: What it says; of lines of the supervisor without the prefix that they have.
    """

    time: float
    text: str


@dataclass(frozen=True)
class LeaderLog:
    """Worker 0's log.

    Attributes:
        kubectl: May read logs and pods.
        selector: Finds worker 0's pods.
    """

    kubectl: Kubectl
    selector: str

    def until(self, pattern: str, seconds: float) -> tuple[re.Match[str], Line]:
        """Waits for a line, which may have been written already by a container that still has its log.

        Args:
            pattern: What is found in it.
            seconds: How long to wait.

        Raises:
            NotInTimeError: There was none; the message has the last lines that there were.
        """
        last: list[str] = []
        for line in self._follow(time.monotonic() + seconds):
            if match := re.search(pattern, line.text):
                return match, line
            last = [*last[-30:], line.text]
        raise NotInTimeError(
            f"no line with {pattern!r} within {seconds:.0f} s; the last:\n" + "\n".join(last)
        )

    def lines(self) -> list[Line]:
        """What the newest container has written so far; empty where none has started."""
        pods = self.kubectl.items("pods", self.selector)
        if not any(map(_started, pods)):
            return []
        ended = self.kubectl.attempt("logs", "--timestamps", _newest(pods)["metadata"]["name"])
        return [_line(each) for each in ended.stdout.splitlines()]

    def attempt(self) -> int:
        """Number of the newest attempt; 0 before the first."""
        found = [re.search(r"^attempt (\d+) started", line.text) for line in self.lines()]
        return max((int(each[1]) for each in found if each), default=0)

    def _follow(self, deadline: float) -> Iterator[Line]:
        seen: set[str] = set()
        while (left := deadline - time.monotonic()) > 0:
            try:
                pod = self.kubectl.until(
                    "a container of worker 0 that is not known yet",
                    "pods",
                    self.selector,
                    lambda pods: next((p for p in pods if _started(p) and _instance(p) not in seen), None),
                    left,
                )
            except NotInTimeError:
                return
            seen.add(_instance(pod))
            yield from self._one(pod["metadata"]["name"], deadline - time.monotonic())

    def _one(self, pod: str, seconds: float) -> Iterator[Line]:
        """The log of a pod's newest container, to its end."""
        command = self.kubectl.command("logs", "--follow", "--timestamps", pod)
        guarded = ["timeout", f"{max(seconds, 1):.0f}", *command]
        environment = self.kubectl.environment()
        with subprocess.Popen(guarded, stdout=subprocess.PIPE, text=True, env=environment) as process:
            try:
                yield from map(_line, process.stdout)
            finally:
                process.kill()


def _started(pod: Object) -> bool:
    return any(each.get("containerID") for each in pod["status"].get("containerStatuses", []))


def _instance(pod: Object) -> str:
    (status,) = pod["status"]["containerStatuses"]
    return str(status["containerID"])


def _newest(pods: list[Object]) -> Object:
    return max(filter(_started, pods), key=lambda pod: pod["metadata"]["creationTimestamp"])


def _line(text: str) -> Line:
    stamp, _, rest = text.rstrip("\n").partition(" ")
    return Line(seconds_since_1970(stamp), rest.removeprefix(PREFIX))


def seconds_since_1970(stamp: str) -> float:
    """Reads RFC 3339 with up to nine digits behind the point."""
    whole, _, fraction = stamp.rstrip("Z").partition(".")
    return datetime.fromisoformat(f"{whole}+00:00").timestamp() + float(f"0.{fraction or 0}")
