"""Disrupts a run and tells what the seconds until its first new step are made of."""

import json
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tests.cluster.kubectl import Kubectl, Object
from tests.cluster.training_runs import TrainingRun

PROPERTY = "disruption"
"""Under which a test's report carries its disruptions."""


@dataclass(frozen=True)
class Disruption:
    """Seconds from a disruption to what followed; None where that did not happen.

    Attributes:
        name: What was done to whom.
        ended: The old container was seen to have ended, or its pod to be gone.
        created: A new pod was seen.
        started: The new container was seen to run.
        attempt: The leader started an attempt.
        stepped: The first new step of all workers.
        exit_codes: Of the victims' old containers, in their order; None where that was not seen.
    """

    name: str
    ended: float | None
    created: float | None
    started: float | None
    attempt: float
    stepped: float
    exit_codes: tuple[int | None, ...]


@dataclass
class Disruptor:
    """Disrupts one run after the other, and keeps what was measured.

    Attributes:
        record: Given each disruption, for the table at the end.
    """

    record: Callable[[dict[str, Any]], None]

    def strike(
        self,
        run: TrainingRun,
        name: str,
        act: Callable[[], float | None],
        victims: Sequence[int] = (),
        seconds: float = 300,
    ) -> Disruption:
        """Does something to a run in training, and waits until it trains again.

        Args:
            run: The run.
            name: What is done, for the table.
            act: Does it; returns when, in seconds since 1970, where it knows better than its caller.
            victims: Workers whose containers end.
            seconds: How long to wait.
        """
        before = run.leader.attempt()
        old = {worker: run.pod(worker) for worker in victims}
        with PodHistory(run.team.admin, run.selector) as history:
            called = time.time()
            began = act() or called
            match, stepped = run.leader.until(_first_new_step_after(before), seconds)
            started = [
                line for line in run.leader.lines() if line.text.startswith(f"attempt {match[1]} started")
            ]
            seen = [history.of(worker, pod) for worker, pod in old.items()]
            codes = tuple(history.exit_code(worker, pod) for worker, pod in old.items())
        disruption = Disruption(
            name,
            *(_latest([each[part] for each in seen], began) for part in range(3)),
            attempt=started[0].time - began,
            stepped=stepped.time - began,
            exit_codes=codes,
        )
        self.record(asdict(disruption))
        return disruption


class PodHistory:
    """Every change of some pods while it is open, with the time when it was seen.

    Args:
        kubectl: May watch pods.
        selector: Which pods.
    """

    def __init__(self, kubectl: Kubectl, selector: str) -> None:
        path = kubectl.path("pods", labelSelector=selector, watch="true", timeoutSeconds="1800")
        self._process = subprocess.Popen(
            kubectl.command("get", "--raw", path),
            stdout=subprocess.PIPE,
            text=True,
            env=kubectl.environment(),
        )
        self._changes: list[tuple[float, str, Object]] = []
        self._begun = threading.Event()
        self._reader = threading.Thread(target=self._read)

    def __enter__(self) -> "PodHistory":
        self._reader.start()
        # The watch begins with all pods that there are.
        assert self._begun.wait(30), "the watch of pods gives nothing"
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._reader.join()
        self._process.wait()
        self._process.stdout.close()

    def _read(self) -> None:
        for line in self._process.stdout:
            event = json.loads(line)
            self._changes.append((time.time(), event["type"], event["object"]))
            self._begun.set()

    def of(self, worker: int, old: Object) -> tuple[float | None, float | None, float | None]:
        """When a worker's old container had ended, its next pod was there, its next container ran."""
        uid, container = old["metadata"]["uid"], _container(old)
        own = [each for each in self._changes if _worker(each[2]) == worker]
        return (
            _first(own, lambda kind, pod: pod["metadata"]["uid"] == uid and _gone(kind, pod, container)),
            _first(own, lambda kind, pod: pod["metadata"]["uid"] != uid),
            _first(own, lambda kind, pod: _running(pod) and _container(pod) != container),
        )

    def exit_code(self, worker: int, old: Object) -> int | None:
        """What a worker's old container ended with; None where that was not seen."""
        container = _container(old)
        for _, _, pod in self._changes:
            status = _status(pod)
            for state in (status.get("state", {}), status.get("lastState", {})):
                ended = state.get("terminated", {})
                if ended.get("containerID") == container and _worker(pod) == worker:
                    return int(ended["exitCode"])
        return None


def _first(
    changes: Sequence[tuple[float, str, Object]], condition: Callable[[str, Object], bool]
) -> float | None:
    return next((moment for moment, kind, pod in changes if condition(kind, pod)), None)


def _worker(pod: Object) -> int:
    return int(pod["metadata"]["labels"]["perdure.dev/worker"])


def _status(pod: Object) -> Object:
    statuses: list[Object] = pod["status"].get("containerStatuses", [])
    return statuses[0] if statuses else {}


def _container(pod: Object) -> str:
    return str(_status(pod).get("containerID", ""))


def _running(pod: Object) -> bool:
    return "running" in _status(pod).get("state", {})


def _gone(kind: str, pod: Object, container: str) -> bool:
    return kind == "DELETED" or "terminated" in _status(pod).get("state", {}) or _container(pod) != container


def _latest(moments: Sequence[float | None], began: float) -> float | None:
    known = [moment - began for moment in moments if moment is not None]
    return max(known) if known else None


def _first_new_step_after(attempt: int) -> str:
    """Matches the line of the first new step of any attempt with a higher number."""
    higher = "|".join(str(number) for number in range(attempt + 1, attempt + 50))
    return rf"^attempt ({higher}): first new step"


COLUMNS = ("ended", "created", "started", "attempt", "stepped")
_HEADS = ("old ended", "new pod", "container", "attempt", "first step")


def table(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Lines of text with a row per disruption."""
    width = max(len(row["name"]) for row in rows)
    lines = [" ".join([f"{'seconds from':<{width}}", *(f"{head:>10}" for head in _HEADS)])]
    for row in rows:
        cells = (f"{row[each]:.1f}" if row[each] is not None else "-" for each in COLUMNS)
        lines.append(" ".join([f"{row['name']:<{width}}", *(f"{cell:>10}" for cell in cells)]))
    return lines
