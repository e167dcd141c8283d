"""How far the run is, from what the leader and worker 0's training process say; pure, time is an argument."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

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
from trainer.contract.progress import Best, LastWord, RunProgress, RunState


class Standing:
    """Follows one run, on the worker that leads it.

    Attributes:
        progress: How far it is; `time` is left to the reader.
    """

    def __init__(self, experiment: Mapping[str, Any], worker: int) -> None:
        """Begins before the first attempt.

        Args:
            experiment: The resolved experiment, as JSON data.
            worker: Whose standing this is; only worker 0 hears of epochs.
        """
        self._worker = worker
        epochs = experiment["spec"]["training"].get("epochs", 0)
        self.progress = RunProgress(RunState.WAITING, epochs=epochs)

    def told(self, message: Message) -> bool:
        """Takes a message; whether it is worth a line in the log at once."""
        now = self.progress
        match message:
            case AttemptStarted():
                self.progress = replace(
                    now, state=RunState.STARTING, attempt=message.attempt, restarts=message.attempt - 1,
                    phase=Phase.BUILDING,
                )  # fmt: skip
            case AttemptEnded():
                where = "" if message.worker is None else f"worker {message.worker}: "
                self.progress = replace(
                    now, state=RunState.WAITING, phase="", reason=f"{where}{message.error}"
                )
            case Progress() if message.phase != Phase.BUILDING:
                return self._progressed(message)
            case BestSoFar():
                self.progress = replace(now, best=message.best)
                return False
            case EpochFinished() if not message.again:
                steps = message.steps or now.steps
                self.progress = replace(
                    now, epoch=message.epoch + 1, metrics=dict(message.metrics),
                    step=steps or now.step, steps=steps,
                )  # fmt: skip
            case Ended():
                self.progress = replace(now, state=RunState.ENDED, phase="", reason=message.reason)
            case _:
                return False
        return True

    def last_word(self, ended: Ended) -> LastWord:
        """How this supervisor ended."""
        now, result = self.progress, ended.result or {}
        return LastWord(
            worker=self._worker,
            exit_code=ended.exit_code,
            reason=ended.reason or (ended.failure.error if ended.failure else ""),
            attempt=now.attempt,
            epoch=result.get("epochs", now.epoch),
            epochs=now.epochs,
            step=now.step,
            best=_best_of(result) if result else now.best,
            restarts=now.restarts,
            weights_digest=result.get("weights_digest"),
            stopped_by=result.get("stopped_by"),
            traceback=ended.failure.traceback if ended.failure else "",
        )

    def _progressed(self, message: Progress) -> bool:
        now = self.progress
        training = message.phase == Phase.TRAINING
        step = message.step + 1 if training else (now.steps or now.step)
        began = now.state is not RunState.TRAINING
        self.progress = replace(
            now, state=RunState.TRAINING, epoch=message.epoch + 1, phase=message.phase, step=step, reason=""
        )
        return began


def _best_of(result: Mapping[str, Any]) -> tuple[Best, ...]:
    best: dict[str, Best] = {}
    for each in result.get("best", ()):
        best.setdefault(each["monitor"], Best(each["monitor"], each["value"], each["epoch"]))
    return tuple(best.values())
