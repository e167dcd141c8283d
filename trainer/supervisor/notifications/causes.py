"""From what a leader hears to what one channel is told. Pure: time is an argument."""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence

from trainer.contract.attempts import order_of
from trainer.contract.conditions import Condition, Plateau, metrics, parse
from trainer.contract.exit_codes import NEVER_REPEATED, ExitCode
from trainer.contract.messages import AttemptStarted, Ended, EpochFinished, Message, Progress
from trainer.contract.notifications import NotificationSpec
from trainer.contract.position import Phase, Position
from trainer.contract.run_events import EventKind, RunEvent
from trainer.contract.telemetry import AttemptWanted, Earlier
from trainer.policies.conditions import evaluate
from trainer.policies.direction import Direction
from trainer.supervisor.notifications.notification import LONGEST_TEXT, Notification

_OCCASIONS = {
    EventKind.STARTED: "start",
    EventKind.FINISHED: "end",
    EventKind.FAILED: "failure",
    EventKind.INTERRUPTED: "restart",
    EventKind.STOPPED: "stop",
}
_FINAL = NEVER_REPEATED | {ExitCode.OK, ExitCode.SOFTWARE}
"""After these nobody starts the run again by himself; see `ExitCode`."""


_NOT_PLAIN = re.compile(r"[^A-Za-z0-9_.-]")


class Causes:
    """Decides what one channel is told; whoever sends it sees to it that each key is told once.

    Args:
        spec: What the channel is to be told.
        tick: Monotonic seconds when the leader began.
    """

    def __init__(self, spec: NotificationSpec, tick: float) -> None:
        self._on = frozenset(spec.on)
        self._conditions = [(text, parse(text)) for text in spec.when]
        self._stall_after = spec.stall_after
        self._progressed_at = tick
        self._told: tuple[Position, int] | None = None
        self._place: Position | None = None
        self._furthest: tuple[int, int, int] | None = None
        self._attempt = 0
        self._metrics: dict[str, float] = {}
        self._ended = False

    def of(self, message: Message, events: Sequence[RunEvent], now: float, tick: float) -> list[Notification]:
        """What the channel is told because of a message.

        Args:
            message: What the leader or worker 0's training process says; `Alive` comes every few seconds.
            events: The run's events that the message stands for.
            now: Seconds since 1970.
            tick: Monotonic seconds.
        """
        if isinstance(message, EpochFinished):
            self._metrics = dict(message.metrics)
        # Of what happened under earlier leaders only the last is news.
        last = message.highest if isinstance(message, Earlier) else None
        told = [self._of_event(each, message) for each in events if last is None or each.attempt == last]
        found = [each for each in told if each is not None and each.occasion in self._on]
        if isinstance(message, EpochFinished):
            found += self._of_epoch(message, now)
        found += self._of_silence(message, now, tick)
        return found

    def _of_event(self, event: RunEvent, message: Message) -> Notification | None:
        occasion = _OCCASIONS.get(event.kind)
        if occasion is None:
            return None
        parts: list[object] = [event.kind.value]
        if occasion != "start":
            # A run may go on after its deadline, or with more epochs, and then ends once more.
            parts += [event.epoch, event.cause] if occasion == "end" else [event.attempt]
        where = "" if event.worker is None else f"worker {event.worker}: "
        return Notification(
            key=_NOT_PLAIN.sub("_", "-".join(str(part) for part in parts if part is not None)),
            occasion=occasion,
            text=f"{_HEADS[occasion]}{where}{event.message}"[:LONGEST_TEXT],
            time=event.time,
            attempt=event.attempt,
            epoch=event.epoch,
            worker=event.worker,
            metrics=self._metrics,
            final=isinstance(message, Ended) and message.exit_code in _FINAL,
        )

    def _of_epoch(self, message: EpochFinished, now: float) -> Iterator[Notification]:
        values = dict(message.metrics)
        if message.learning_rate is not None:
            values["learning_rate"] = message.learning_rate
        for text, condition in self._conditions:
            if _holds(condition, values):
                shown = ", ".join(
                    f"{name} {values[name]:.6g}" for name in metrics(condition) if name in values
                )
                yield Notification(
                    key=f"when-{hashlib.sha256(text.encode()).hexdigest()[:16]}",
                    occasion="when",
                    text=f"{text} holds since epoch {message.epoch + 1}: {shown}"[:LONGEST_TEXT],
                    time=now,
                    attempt=self._attempt,
                    epoch=message.epoch + 1,
                    condition=text,
                    metrics=values,
                )

    def _of_silence(self, message: Message, now: float, tick: float) -> Iterator[Notification]:
        self._look_for_progress(message, tick)
        silent = tick - self._progressed_at
        if silent < self._stall_after or self._ended or "stall" not in self._on:
            return
        # Named by how far the run had come: whoever leads it, and however often it is tried again there.
        place = "-".join(map(str, self._furthest or ("start",)))
        yield Notification(
            key=f"stalled-{place}",
            occasion="stall",
            text=f"nothing has been done for {silent:.0f} s, {self._where()}",
            time=now,
            attempt=self._attempt,
            metrics=self._metrics,
        )

    def _look_for_progress(self, message: Message, tick: float) -> None:
        match message:
            case Earlier():
                self._attempt, self._furthest = message.highest, message.furthest
            case AttemptWanted() | AttemptStarted():
                self._attempt = max(self._attempt, message.attempt)
            case Ended():
                self._ended = True
            case Progress() if message.phase != Phase.BUILDING or message.part:
                place = Position(message.epoch, Phase(message.phase), message.step)
                # What is told twice, as before a save, is no progress.
                if (place, message.part) != self._told:
                    self._told, self._progressed_at = (place, message.part), tick
                if place.phase is not Phase.BUILDING and place != self._place:
                    self._place = place
                    self._furthest = max(self._furthest or order_of(place), order_of(place))
            case _:
                pass

    def _where(self) -> str:
        if self._place is None:
            return "nor anything since this leader began"
        at = self._place
        return f"the last was epoch {at.epoch + 1}, {at.phase.replace('_', ' ')} step {at.step + 1}"


_HEADS = {
    "start": "",
    "end": "",
    "failure": "the run has failed: ",
    "restart": "training was interrupted, and goes on: ",
    "stop": "the run was stopped, and can go on: ",
}


def _holds(condition: Condition, values: Mapping[str, float]) -> bool:
    return evaluate(condition, {}, _no_direction, 0, values).holds


def _no_direction(plateau: Plateau) -> Direction:
    raise AssertionError(f"no notification waits for a plateau: {plateau}")
