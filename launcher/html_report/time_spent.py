"""Where a run's time and its GPUs' went, from the records of its attempts; pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from launcher.html_report.curves import EPOCH_SECONDS
from launcher.html_report.reading import Attempt, ReadRun
from trainer.contract.attempts import CauseKind
from trainer.contract.run_events import EventKind, RunEvent

_ON_PURPOSE = (CauseKind.STOPPED, CauseKind.FINISHED)


@dataclass(frozen=True)
class TimeSpent:
    """Seconds of a run by the clock, from the begin of its first attempt to the last that is known of it.

    Attributes:
        began: Seconds since 1970.
        ended: Seconds since 1970.
        useful: In the epochs that stand in the log, each counted once; None where it keeps no times.
        other: The rest of the attempts' time: starting, work that was done again, what was not logged; None
            where that cannot be told from `useful`.
        waiting: Between an interruption and the begin of the next attempt.
        stopped: While the run was stopped on purpose.
        is_open: Whether the last attempt has not told its end, so that it counts until its last event.
    """

    began: float
    ended: float
    useful: float | None
    other: float | None
    waiting: float
    stopped: float
    is_open: bool

    @property
    def wall(self) -> float:
        """All of it."""
        return self.ended - self.began

    @property
    def goodput(self) -> float | None:
        """The useful share of the time in which the run was wanted."""
        wanted = self.wall - self.stopped
        return min(1.0, self.useful / wanted) if self.useful is not None and wanted > 0 else None


@dataclass(frozen=True)
class Interruption:
    """An attempt that ended before the run did.

    Attributes:
        attempt: Its number.
        time: When, in seconds since 1970.
        kind: Why, as a value of `CauseKind`.
        worker: Where it began.
        message: The same in a line.
        epoch: In which epoch, from 1.
        first_step_after: Seconds until the next attempt's first step; None where that is not known.
        gap: Seconds until the next attempt began, which is less; None where none began.
    """

    attempt: int
    time: float | None
    kind: str
    worker: int | None
    message: str
    epoch: int | None
    first_step_after: float | None
    gap: float | None


@dataclass(frozen=True)
class GpuTime:
    """GPU-seconds.

    Attributes:
        used: GPUs times the seconds that attempts ran; None where that is not known.
        saved: What epochs that were asked for, but not needed, would have taken; None where unknown.
        is_estimate: Whether it was computed here, since the result has no such numbers.
    """

    used: float | None
    saved: float | None
    is_estimate: bool


def time_spent(run: ReadRun) -> TimeSpent | None:
    """Tells where the time went; None where no attempt tells when it began."""
    dated = [attempt for attempt in run.attempts if attempt.began is not None]
    if not dated:
        return None
    ends = [_end_of(attempt, run) for attempt in dated]
    stopped = waiting = 0.0
    for (before, end), (after, _) in pairwise(zip(dated, ends, strict=True)):
        gap = max(0.0, (after.began or 0.0) - end)
        if before.record is not None and (before.record.kind in _ON_PURPOSE or before.record.ended_run):
            stopped += gap
        else:
            waiting += gap
    began, ended = dated[0].began or 0.0, max(ends)
    epochs = run.curves.finite(EPOCH_SECONDS)
    useful = sum(value for _, value in epochs) if epochs else None
    running = ended - began - stopped - waiting
    return TimeSpent(
        began=began,
        ended=ended,
        useful=useful,
        other=None if useful is None else max(0.0, running - useful),
        waiting=waiting,
        stopped=stopped,
        is_open=dated[-1].record is None,
    )


def interruptions(run: ReadRun) -> list[Interruption]:
    """Every attempt that was interrupted, by its record, else by its event."""
    events = {event.attempt: event for event in run.events or () if event.kind is EventKind.INTERRUPTED}
    back = {event.attempt: event.seconds for event in run.events or () if event.kind is EventKind.RESTARTED}
    attempts = {attempt.number: attempt for attempt in run.attempts}
    numbers = {
        number
        for number, attempt in attempts.items()
        if _was_interrupted(attempt, is_last=number == max(attempts))
    }
    return [
        _interruption(number, attempts.get(number), attempts.get(number + 1), events.get(number), back)
        for number in sorted(numbers | set(events))
    ]


def epoch_of(attempt: Attempt) -> int | None:
    """The epoch, from 1, that an attempt had reached when it ended; None where it completed nothing."""
    if attempt.record is None or attempt.record.last is None:
        return None
    return attempt.record.last[0] + 1


def _interruption(
    number: int,
    attempt: Attempt | None,
    following: Attempt | None,
    event: RunEvent | None,
    back: Mapping[int, float | None],
) -> Interruption:
    record = attempt.record if attempt is not None else None
    end = attempt.ended if attempt is not None else None
    begin = following.began if following is not None else None
    cause = str(record.kind) if record is not None else event.cause if event is not None else None
    told = event if event is not None else record
    reached = epoch_of(attempt) if attempt is not None else None
    return Interruption(
        attempt=number,
        time=event.time if event is not None else end,
        kind=cause or CauseKind.UNKNOWN,
        worker=told.worker if told is not None else None,
        message=event.message if event is not None else record.error if record is not None else "",
        epoch=event.epoch if event is not None and event.epoch is not None else reached,
        first_step_after=back.get(number + 1),
        gap=None if end is None or begin is None else max(0.0, begin - end),
    )


def gpu_time(run: ReadRun) -> GpuTime:
    """GPU-seconds as the result has them, else computed from the attempts and the epochs."""
    result = run.result
    if result is not None and result.gpu_seconds_used is not None:
        # Versions before this one told of savings whatever had ended the run.
        saved = 0.0 if result.epochs_spared == 0 else result.gpu_seconds_saved
        return GpuTime(result.gpu_seconds_used, saved, is_estimate=False)
    gpus = gpu_count(run)
    if gpus is None or not run.attempts:
        return GpuTime(None, None, is_estimate=True)
    used = gpus * sum(attempt.record.seconds for attempt in run.attempts if attempt.record is not None)
    epochs = run.curves.finite(EPOCH_SECONDS)
    saved = None
    if result is not None and result.epochs_spared is not None and epochs:
        saved = gpus * result.epochs_spared * _usual([value for _, value in epochs])
    return GpuTime(used, saved, is_estimate=True)


def gpu_count(run: ReadRun) -> int | None:
    """GPUs of all workers; 0 for a run on CPUs, None where the environment does not tell."""
    environment = run.environment or {}
    devices, replicas = environment.get("GPUs"), environment.get("replicas")
    if not isinstance(devices, list):
        return None
    if not devices:
        return 0
    return replicas if isinstance(replicas, int) else len(devices)


def slow_epochs(run: ReadRun, factor: float = 2.0) -> list[tuple[int, float, float]]:
    """Epochs that took so many times the usual, but for the first, with their seconds and those beyond.

    Args:
        run: The run.
        factor: From how many times the median on an epoch counts.
    """
    epochs = run.curves.finite(EPOCH_SECONDS)
    if len(epochs) < 3:
        return []
    usual = _usual([value for _, value in epochs])
    # The first epoch traces the steps, always.
    return [(epoch, value, value - usual) for epoch, value in epochs[1:] if value > factor * usual > 0]


def _usual(values: Sequence[float]) -> float:
    """The median, without the first, which traces the steps."""
    ordered = sorted(values[1:] or values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def _was_interrupted(attempt: Attempt, *, is_last: bool) -> bool:
    if attempt.record is None or attempt.record.kind in _ON_PURPOSE:
        return False
    # What the run itself ended with is no interruption, unless somebody let it go on.
    return not (is_last and attempt.record.ended_run)


def _end_of(attempt: Attempt, run: ReadRun) -> float:
    """When an attempt ended, or the last that was heard of it."""
    if attempt.ended is not None:
        return attempt.ended
    told = [event.time for event in run.events or () if event.attempt == attempt.number]
    return max([attempt.began or 0.0, *told])
