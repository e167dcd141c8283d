"""What a supervisor in a pod writes to its log for people: attempts, epochs, interruptions, the end. Pure."""

from collections.abc import Mapping

from trainer.contract.messages import (
    AttemptEnded,
    AttemptStarted,
    Committed,
    Ended,
    EpochFinished,
    Failed,
    Message,
    Progress,
    Ready,
)
from trainer.contract.position import Phase


class Narration:
    """Turns what would be said to whoever started a supervisor into lines of text.

    Args:
        epochs: Epochs that the experiment allows.
    """

    def __init__(self, epochs: int) -> None:
        self._epochs = epochs
        self._shown: set[str] = set()
        self._began: float | None = None
        self._building = False
        self._attempt = 0
        self._epoch = -1

    def lines(self, message: Message, now: float) -> list[str]:
        """The lines that a message is worth; most are worth none.

        Args:
            message: A message of the supervisor or of its training process.
            now: Monotonic seconds.
        """
        match message:
            case AttemptStarted():
                self._attempt, self._building = message.attempt, True
                line = f"attempt {message.attempt} started"
            case Ready():
                line = _ready(message)
            case Progress() if self._building and message.phase != Phase.BUILDING:
                line = self._first_step(message, now)
            case EpochFinished() if message.epoch > self._epoch and not message.again:
                # Where an interruption came between an epoch's end and the next save, its end is repeated.
                self._epoch = message.epoch
                line = _epoch(message, self._epochs)
            case Committed():
                line = f"checkpoint at step {message.step}, written in {message.seconds:.2f} s"
            case AttemptEnded():
                line = self._interrupted(message, now)
            case Ended():
                line = _ended(message)
            case _:
                return []
        failure = message.failure if isinstance(message, AttemptEnded | Ended) else None
        return [*self._traceback(failure), line]

    def _first_step(self, message: Progress, now: float) -> str:
        self._building = False
        place = f"epoch {message.epoch + 1}, {message.phase.replace('_', ' ')} step {message.step + 1}"
        after = f" {now - self._began:.1f} s after the interruption" if self._began is not None else ""
        self._began = None
        return f"attempt {self._attempt}: first new step{after}: {place}"

    def _interrupted(self, message: AttemptEnded, now: float) -> str:
        if self._began is None:
            self._began = now
        where = "" if message.worker is None else f"worker {message.worker}: "
        then = "; going on as soon as all workers are ready" if message.retried else ""
        return f"attempt {message.attempt} ended ({message.kind}): {where}{message.error}{then}"

    def _traceback(self, failure: Failed | None) -> list[str]:
        text = "" if failure is None else failure.traceback.rstrip()
        if not text or text in self._shown:
            return []
        self._shown.add(text)
        return text.splitlines()


def _ready(message: Ready) -> str:
    replicas = f"{message.replicas} replicas" if message.replicas > 1 else "1 replica"
    return f"worker {message.worker} ready: {message.parameters:,} weights, {replicas}, {message.devices}"


def _epoch(message: EpochFinished, epochs: int) -> str:
    metrics = [f"{name} {value:.4f}" for name, value in _paired(message.metrics).items()]
    rate = [] if message.learning_rate is None else [f"learning_rate {message.learning_rate:.3g}"]
    speed = f"{message.examples_per_second:,.0f} examples/s"
    return "  ".join(
        [f"epoch {message.epoch + 1}/{epochs}", *metrics, *rate, speed, f"{message.seconds:.1f} s"]
    )


def _paired(metrics: Mapping[str, float]) -> dict[str, float]:
    """The loss first, and each metric with its validation value behind it."""
    trained = sorted(
        (name for name in metrics if not name.startswith("val_")), key=lambda name: name != "loss"
    )
    order = [each for name in trained for each in (name, f"val_{name}") if each in metrics]
    return {name: metrics[name] for name in [*order, *(name for name in metrics if name not in order)]}


def _ended(message: Ended) -> str:
    words = [f"worker {message.worker} ends with exit code {message.exit_code}"]
    if message.reason:
        words.append(message.reason)
    if message.result is not None:
        digest = str(message.result.get("weights_digest", ""))
        words.append(f"stopped by {message.result.get('stopped_by')}, weights {digest[:16]}")
    return ": ".join(words[:2]) + "".join(f"; {word}" for word in words[2:])
