"""What `perdure run` shows while it trains: a line per epoch, on a terminal with curves and a bar below."""

import re
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Self

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, ProgressColumn, TaskID, TextColumn
from rich.text import Text

from launcher.columns import aligned
from launcher.plain_text import plain
from launcher.restart_log import Restart
from launcher.sparkline import SHOWN, curves
from trainer.contract.messages import EpochFinished, Failed, Message, Ready, Started
from trainer.contract.messages import Progress as Position

# TensorFlow prints these whatever TF_CPP_MIN_LOG_LEVEL says, since it does so before it sets its log up.
_CHATTER = re.compile(r"I\d{4} \d\d:\d\d:\d\d|I0000 |WARNING: All log messages before absl::InitializeLog")


_BESIDE_CURVES = max(map(len, SHOWN)) + 3
"""Columns for the names of the curves, and one that stays free: a line that fills a row may begin another."""


class PlainConsole(Console):
    """A console that never hides the cursor: however the process ends, the terminal is in order."""

    def show_cursor(self, show: bool = True) -> bool:  # noqa: ARG002 - as rich has it
        """Leaves the cursor alone."""
        return False


class LiveView:
    """Shows the output of workers and the course of training on one console.

    Args:
        console: Where to; on a terminal curves and a bar stand below everything else.
        epochs: Epochs that the experiment allows.
        workers: How many workers there are.
        chatter: Whether to show what TensorFlow's runtime logs at level INFO.
    """

    def __init__(self, console: Console, epochs: int, workers: int, *, chatter: bool = False) -> None:
        self._console = console
        self._epochs = epochs
        self._workers = workers
        self._chatter = chatter
        self._started: set[int] = set()
        self._ready = False
        self._epoch_shown = -1
        self._shown: set[str] = set()
        self._seconds: list[float] = []
        self._steps: dict[str, int] = {}
        self._history: list[Mapping[str, float]] = []
        self._progress = _BelowCurves(self._history, console)
        self._bar: TaskID | None = None

    def __enter__(self) -> Self:
        """Shows the bar, on a terminal."""
        if self._console.is_terminal:
            self._bar = self._progress.add_task("starting the workers", total=self._epochs, eta="")
            self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Takes the bar away."""
        if self._bar is not None:
            self._progress.stop()

    def line(self, worker: int, text: str) -> None:
        """Shows a line that a worker printed, with the worker's number before it."""
        if self._chatter or not _CHATTER.match(text):
            self._print(f"[worker {worker}] {text}")

    def told(self, message: Message) -> None:
        """Shows what a worker says of its progress."""
        match message:
            case Started():
                self._started.add(message.worker)
                self._describe(f"{len(self._started)} of {self._workers} workers started, loading TensorFlow")
            case Ready(worker=0) if not self._ready:
                self._ready = True
                self._print(_ready(message))
            case EpochFinished() if not message.again:
                self._epoch(message)
            case Position(worker=0):
                self._position(message)
            case _:
                pass

    def interrupted(self, restart: Restart) -> None:
        """Shows what happened, and a traceback that was not shown yet."""
        self._started.clear()
        self.ended(restart.failure)
        where = "" if restart.reached is None else f", after {restart.reached}"
        then = "; starting again" if restart.retried else ""
        self._print(f"interrupted: {_cause(restart)}{where}{then}")
        self._describe("starting again")

    def ended(self, failure: Failed | None) -> None:
        """Shows the traceback of a failure, unless that was done already."""
        traceback = "" if failure is None else failure.traceback.rstrip()
        if traceback and traceback not in self._shown:
            self._shown.add(traceback)
            self._print(traceback)

    def went_on(self, restart: Restart) -> None:
        """Shows how soon training went on, and from where."""
        steps = f", {restart.repeated} steps repeated" if restart.repeated is not None else ""
        self._print(f"going on at {restart.resumed}: first new step after {restart.seconds:.1f} s{steps}")

    def stopping(self) -> None:
        """Shows that the wish to stop was heard."""
        self._print("stopping: all workers save at the same step; once more ends them at once")
        self._describe("stopping")

    def _epoch(self, message: EpochFinished) -> None:
        if message.epoch <= self._epoch_shown:
            return  # its end was repeated after an interruption
        self._epoch_shown = message.epoch
        self._seconds.append(message.seconds)
        self._history.append(message.metrics)
        self._print(epoch_line(message, self._epochs, self._seconds))
        if self._bar is not None:
            eta = _clock(_seconds_left(message.epoch, self._epochs, self._seconds))
            self._progress.update(self._bar, completed=message.epoch + 1, eta=f"at most {eta} left")

    def _position(self, message: Position) -> None:
        self._steps[message.phase] = max(self._steps.get(message.phase, 0), message.step + 1)
        self._describe(f"epoch {message.epoch + 1}/{self._epochs} {message.phase}, step {message.step + 1}")
        if self._bar is not None and message.phase == "training":
            # In the first epoch its length is not known yet, so the bar waits for its end.
            known = bool(self._seconds)
            part = min(1.0, (message.step + 1) / self._steps[message.phase]) if known else 0.0
            self._progress.update(self._bar, completed=message.epoch + part)

    def _describe(self, text: str) -> None:
        if self._bar is not None:
            self._progress.update(self._bar, description=text)

    def _print(self, text: str) -> None:
        # What a worker printed may look like markup, and is as long as it is.
        self._console.print(plain(text), markup=False, highlight=False, emoji=False, soft_wrap=True)


class _BelowCurves(Progress):
    """A bar, and above it the losses of the epochs so far."""

    def __init__(self, history: list[Mapping[str, float]], console: Console) -> None:
        self._history = history
        self._terminal = console
        super().__init__(*_columns(), console=console, transient=True)

    def get_renderables(self) -> Iterable[RenderableType]:
        """The curves, as wide as the terminal is now, and the bar."""
        if found := curves(self._history, self._terminal.width - _BESIDE_CURVES):
            yield Text(aligned(found), no_wrap=True, overflow="crop")
        yield from super().get_renderables()


def epoch_line(message: EpochFinished, epochs: int, seconds: list[float]) -> str:
    """One epoch in one line.

    Args:
        message: Its metrics and speed.
        epochs: Epochs that the experiment allows.
        seconds: Duration of each epoch so far.
    """
    number = f"epoch {message.epoch + 1:>{len(str(epochs))}}/{epochs}"
    metrics = [f"{name} {message.metrics[name]:.4f}" for name in _ordered(message.metrics)]
    rate = [] if message.learning_rate is None else [f"learning_rate {message.learning_rate:.3g}"]
    speed = f"{message.examples_per_second:,.0f} examples/s"
    eta = f"ETA {_clock(_seconds_left(message.epoch, epochs, seconds))}"
    return "  ".join([number, *metrics, *rate, speed, eta])


def _ordered(metrics: Mapping[str, float]) -> list[str]:
    """Each metric with its validation value behind it, the loss first."""
    trained = sorted(
        (name for name in metrics if not name.startswith("val_")), key=lambda name: name != "loss"
    )
    pairs = [each for name in trained for each in (name, f"val_{name}") if each in metrics]
    return [*pairs, *(name for name in metrics if name not in pairs)]


def _seconds_left(epoch: int, epochs: int, seconds: list[float]) -> float:
    # The first epoch holds the tracing of the steps; it says little of the others.
    usual = seconds[1:] or seconds
    return (epochs - epoch - 1) * sum(usual) / len(usual)


def _clock(seconds: float) -> str:
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def _cause(restart: Restart) -> str:
    if restart.failure is None:
        return restart.cause
    where = f" at {restart.failure.where}" if restart.failure.where else ""
    return f"worker {restart.failure.worker}{where}: {restart.failure.error}"


def _ready(message: Ready) -> str:
    replicas = f"{message.replicas} replicas" if message.replicas > 1 else "1 replica"
    return f"training: {message.parameters:,} weights, {replicas}, {message.devices}"


def _columns() -> tuple[ProgressColumn, ...]:
    return (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TextColumn("{task.fields[eta]}"),
    )
