"""From what a leader hears to the events that `events.jsonl` keeps. Pure: time is an argument."""

from collections.abc import Iterator

from trainer.contract.attempts import CauseKind
from trainer.contract.exit_codes import ExitCode
from trainer.contract.messages import (
    AttemptEnded,
    AttemptStarted,
    BestSoFar,
    Ended,
    EpochFinished,
    Message,
    Progress,
)
from trainer.contract.position import Phase
from trainer.contract.run_events import EventKind, RunEvent, from_lines
from trainer.contract.telemetry import (
    BestNotStored,
    CommitFailed,
    Delivery,
    Earlier,
    Notified,
    StepsAlarmed,
)

_TOLD_CHANGE = 0.1
"""The least share of itself by which a learning rate changes at once; schedules change it all the time."""

_STOPPED = (ExitCode.TERMINATED, ExitCode.INTERRUPTED, ExitCode.INCOMPLETE)


class RunLog:
    """Turns messages into events; what is told again after an interruption is an equal event again."""

    def __init__(self) -> None:
        self._attempt = 0
        self._leads = False
        self._interrupted_at: float | None = None
        self._starting = False
        self._best: dict[str, int] = {}
        self._tick = 0.0

    def take(self, message: Message, now: float, tick: float) -> list[RunEvent]:
        """The events that a message stands for.

        Args:
            message: What the leader or worker 0's training process says.
            now: Seconds since 1970.
            tick: Monotonic seconds.
        """
        self._tick = tick
        return list(self._events(message, now))

    def _events(self, message: Message, now: float) -> Iterator[RunEvent]:
        match message:
            case Earlier():
                self._attempt = message.highest
                yield from _found(message, now)
            case AttemptStarted():
                self._attempt, self._starting, self._leads = message.attempt, True, True
                yield self._event(EventKind.STARTED, now, "the run has begun")
            case AttemptEnded() if message.retried:
                self._interrupted_at = self._tick
                yield self._event(
                    EventKind.INTERRUPTED, now, message.error, worker=message.worker, cause=message.kind
                )
            case Progress() if message.phase != Phase.BUILDING and self._starting:
                yield from self._began(message, now)
            case EpochFinished():
                yield from self._rate_changed(message, now)
            case BestSoFar():
                yield from self._improved(message, now)
            case Ended():
                yield from self._ended(message, now)
            case _:
                yield from self._went_wrong(message, now)

    def _went_wrong(self, message: Message, now: float) -> Iterator[RunEvent]:
        """What training goes on after."""
        match message:
            case CommitFailed():
                text = f"the checkpoint of step {message.step} was not written: {message.error}"
                yield self._event(EventKind.CHECKPOINT_FAILED, now, text)
            case StepsAlarmed():
                yield self._event(
                    EventKind.WATCHDOG_ALERT, now, _alarm(message),
                    epoch=message.epoch + 1, cause=message.cause, count=message.steps,
                )  # fmt: skip
            case BestNotStored():
                yield self._event(
                    EventKind.BEST_NOT_STORED, now, message.why, epoch=message.epoch,
                    monitor=message.monitor, value=message.value,
                    cause="given_up" if message.given_up else "read_back",
                )  # fmt: skip
            case Notified() if message.delivery is not Delivery.DELIVERED:
                text = f"{message.channel} was not told of {message.about}: {message.why or message.delivery}"
                yield self._event(EventKind.NOTIFICATION_LOST, now, text, cause=message.delivery.value)
            case _:
                pass

    def _began(self, message: Progress, now: float) -> Iterator[RunEvent]:
        self._starting = False
        if self._attempt == 1:
            return
        seconds = None if self._interrupted_at is None else round(self._tick - self._interrupted_at, 3)
        place = f"epoch {message.epoch + 1}, {message.phase.replace('_', ' ')} step {message.step + 1}"
        yield self._event(
            EventKind.RESTARTED, now, f"going on at {place}", epoch=message.epoch + 1, seconds=seconds
        )

    def _rate_changed(self, message: EpochFinished, now: float) -> Iterator[RunEvent]:
        before, rate = message.rate_before, message.learning_rate
        if before is None or rate is None or not abs(rate - before) >= _TOLD_CHANGE * max(rate, before):
            return
        yield self._event(
            EventKind.LEARNING_RATE_CHANGED, now, f"learning rate {before:.3g} -> {rate:.3g}",
            epoch=message.epoch + 1, value=rate, before=before,
        )  # fmt: skip

    def _improved(self, message: BestSoFar, now: float) -> Iterator[RunEvent]:
        for best in message.best:
            if self._best.get(best.monitor) != best.epoch:
                self._best[best.monitor] = best.epoch
                yield self._event(
                    EventKind.BEST, now, f"best {best.monitor} so far: {best.value:.6g}",
                    epoch=best.epoch, monitor=best.monitor, value=best.value,
                )  # fmt: skip

    def _ended(self, message: Ended, now: float) -> Iterator[RunEvent]:
        if not self._leads and message.exit_code == ExitCode.CONFIG:
            return  # The directory is another run's.
        if message.exit_code == ExitCode.OK:
            result = message.result or {}
            stopped_by = str(result.get("stopped_by", ""))
            yield self._event(
                EventKind.FINISHED, now, f"the run has finished, stopped by {stopped_by}",
                epoch=result.get("epochs"), cause=stopped_by,
            )  # fmt: skip
        elif message.exit_code in _STOPPED:
            yield self._event(EventKind.STOPPED, now, message.reason, cause=_name(message.exit_code))
        elif message.exit_code != ExitCode.FENCED:
            failed = message.failure
            text = message.reason or (failed.error if failed else f"exit code {message.exit_code}")
            worker = failed.worker if failed else None
            yield self._event(EventKind.FAILED, now, text, worker=worker, cause=_name(message.exit_code))

    def _event(self, kind: EventKind, now: float, message: str, **more: object) -> RunEvent:
        return RunEvent(kind, now, self._attempt, message, **more)  # type: ignore[arg-type]


def _alarm(message: StepsAlarmed) -> str:
    if message.steps == 1:
        return message.first
    skipped = f", {message.skipped} of them skipped" if message.skipped else ""
    return f"{message.steps} steps of epoch {message.epoch + 1}{skipped}; the first: {message.first}"


def _found(message: Earlier, now: float) -> Iterator[RunEvent]:
    for attempt, kind, error in message.interrupted:
        # Whoever was asked to stop has told so.
        if kind != CauseKind.STOPPED:
            yield RunEvent(EventKind.INTERRUPTED, now, attempt, error, cause=kind)


def _name(exit_code: int) -> str:
    known = exit_code in list(ExitCode)
    return ExitCode(exit_code).name.lower() if known else str(exit_code)


def merged(text: str, events: list[RunEvent]) -> str:
    """The content of the file with more events: what stands there stays, and nothing stands there twice.

    Args:
        text: What stands there.
        events: In their order.
    """
    known = {event.key for event in from_lines(text)}
    lines = []
    for event in events:
        if event.key not in known:
            known.add(event.key)
            lines.append(event.to_line() + "\n")
    return text + ("" if not text or text.endswith("\n") else "\n") + "".join(lines)
