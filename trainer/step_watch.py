"""Tells observers of every training step, once it is done, at a place that no interruption moves."""

import logging
import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from trainer.contract.rollback import RollBack
from trainer.contract.step_report import (
    NOTHING,
    Reaction,
    StepObserver,
    StepPlace,
    StepReport,
    Verdict,
    strongest,
)
from trainer.data import Source, Step
from trainer.distribution import Topology
from trainer.loop_state import LoopState
from trainer.probe import LIMIT, Probe
from trainer.step import ReplicaStep

JUDGED_AFTER = 8
"""How many more executions begin before one is judged: the device has long done it, so nobody waits."""

MOST_LOOKS = 16
"""Of how many steps of a training the rows are read again, to find those that are damaged."""

_log = logging.getLogger(__name__)


class Judged(NamedTuple):
    """What is to be done, and about which step."""

    verdict: Verdict
    report: StepReport | None


@dataclass(frozen=True)
class _Unjudged:
    """An execution that nobody was told of.

    Attributes:
        places: Of its steps.
        limit: What it was run with.
        found: What the probe says, all steps one after the other; on the device, or restored.
    """

    places: tuple[StepPlace, ...]
    limit: float
    found: Any


class StepWatch(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    """Runs the train steps of a model with a probe in them; a callback, so that checkpoints keep its state.

    What a step was is kept, from the device or from a checkpoint, until `JUDGED_AFTER` more executions have
    begun or the epoch's training ends. So a decision falls at the same place however often a run is
    interrupted and wherever it is saved.

    Attributes:
        probe: For `keras_private.as_one_process`.
    """

    def __init__(self, observers: Sequence[StepObserver], model: Any, topology: Topology) -> None:
        super().__init__()
        self._observers = observers
        wishes = [each.observe_steps() for each in observers]
        self._every = min((each.every for each in wishes if each.every), default=None)
        self._rolls_back = any(each.rolls_back for each in wishes)
        self._skips_losses = any(each.skips_losses for each in wishes)
        self._is_chief = topology.is_chief
        self.probe = Probe(
            model,
            topology,
            skips_non_finite=any(each.skips_non_finite for each in wishes),
            skips_losses=self._skips_losses,
        )
        self._unjudged: deque[_Unjudged] = deque()
        self._limits: tuple[float, Any] = (math.nan, None)
        self._records: tuple[RollBack, ...] = ()
        self._looks = 0

    @classmethod
    def of(cls, callbacks: Sequence[Any], model: Any, topology: Topology) -> "StepWatch | None":
        """A watch for the observers among the callbacks; None where there are none."""
        observers = [each for each in callbacks if hasattr(each, "observe_steps")]
        return cls(observers, model, topology) if observers else None

    @property
    def rolls_back(self) -> bool:
        """Whether an observer may want to go back."""
        return self._rolls_back

    def trace(self, build: Callable[..., ReplicaStep], source: Source) -> ReplicaStep:
        """Traces the step, and the one that measures the weights, where that is wanted.

        Args:
            build: Makes a step with a probe, given as `probe`.
            source: What feeds them.

        Returns:
            The step that does not measure.
        """
        self.feed_from(source)
        self._plain = build(probe=self.probe.run)
        self._measuring = build(probe=partial(self.probe.run, measures=True)) if self._every else None
        if self._plain.traced and not self.probe.sees_loss and self._is_chief:
            _log.warning(
                "the model's train_step does not call compute_loss: its loss is not watched, gradients are"
            )
        return self._plain

    def feed_from(self, source: Source) -> None:
        """The steps from now on are of this source; all of another one are judged."""
        self._source = source

    @property
    def traced(self) -> tuple[Any, ...]:
        """All concrete functions."""
        return (*self._plain.traced, *(self._measuring.traced if self._measuring else ()))

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:  # noqa: ARG002
        """Starts afresh."""
        self._unjudged.clear()
        self._looks = 0

    def begin(self, records: Sequence[RollBack]) -> None:
        """Training goes on, or begins; after `restore`.

        Args:
            records: All roll backs of the run so far.
        """
        self._records = tuple(records)
        for observer in self._observers:
            observer.rolled_back(records)

    def run(self, steps: Sequence[Step], state: LoopState, first: int, before: Any) -> Any:
        """Runs an execution, without the steps that a roll back leaves out.

        Args:
            steps: At least one.
            state: Where the loop stands: before these steps.
            first: Step of the epoch that the execution begins with.
            before: What the execution before returned.

        Returns:
            What the method returned in the last step; `before` where none is left.
        """
        left_out = self._left_out(len(steps), state.steps)
        kept = [(number, step) for number, step in enumerate(steps) if number not in left_out]
        if not kept:
            return before
        places = tuple(
            StepPlace(state.epoch, first + number, state.steps + number, step.pass_index, step.index)
            for number, step in kept
        )
        limit = min(each.limit() for each in self._observers) if self._skips_losses else math.inf
        measures = self._every and any(place.steps % self._every == 0 for place in places)
        function = self._measuring if measures and self._measuring else self._plain
        outputs, found = function([step for _, step in kept], self._limit(limit))
        self._unjudged.append(_Unjudged(places, limit, found))
        return outputs

    def _left_out(self, count: int, done: int) -> set[int]:
        """Which of the next `count` steps a roll back leaves out; the observers are told of each."""
        hit = [record for record in self._records if done <= record.steps < done + count]
        for record in hit:
            for observer in self._observers:
                observer.leaving_out(record)
        return {record.steps - done for record in hit}

    def _limit(self, limit: float) -> Any:
        if self._limits[0] != limit:
            self._limits = limit, tf.constant(limit, LIMIT.dtype)
        return self._limits[1]

    def judge(self, *, rest: bool = False) -> Judged:
        """Tells the observers of what is old enough.

        Args:
            rest: Tell of all: no step follows in this epoch.

        Returns:
            The strongest verdict, and the step that it is about. After going back is wanted, nothing more is
            told: what followed the step will not have been.
        """
        judged = [Judged(NOTHING, None)]
        while self._unjudged and (rest or len(self._unjudged) > JUDGED_AFTER):
            for found in self._reports(self._unjudged.popleft()):
                report = found if found.is_finite else self._with_rows(found)
                verdict = strongest([self._told(each.observe(report)) for each in self._observers])
                judged.append(Judged(verdict, report))
                if verdict.reaction is Reaction.ROLL_BACK:
                    return judged[-1]
        best = strongest([each.verdict for each in judged])
        return next(each for each in judged if each.verdict is best)

    def condemned(self) -> bool:
        """Whether what is not judged yet will make the run go back: its state is not worth a checkpoint."""
        if not self._rolls_back:
            return False
        reports = [report for each in self._unjudged for report in self._reports(each)]
        return any(observer.condemns(reports) for observer in self._observers)

    def record(self, judged: Judged) -> RollBack:
        """The record of a roll back that was decided."""
        verdict, report = judged
        assert report is not None
        place = report.place
        return RollBack(
            len(self._records) + 1,
            place.steps,
            place.epoch,
            place.step,
            verdict.cause,
            verdict.message,
            verdict.factor,
            report.rows,
        )

    def state(self) -> dict[str, Any]:
        """What is not judged yet, and how often rows were looked at."""
        return {
            "looks": self._looks,
            "places": [[list(astuple(place)) for place in each.places] for each in self._unjudged],
            "limits": np.asarray([each.limit for each in self._unjudged], np.float64),
            "found": [np.asarray(each.found) for each in self._unjudged],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on from what `state` returned."""
        self._looks = int(state["looks"])
        self._unjudged = deque(
            _Unjudged(tuple(StepPlace(*place) for place in places), float(limit), np.asarray(found))
            for places, limit, found in zip(state["places"], state["limits"], state["found"], strict=True)
        )

    def _told(self, verdict: Verdict) -> Verdict:
        if verdict.message and self._is_chief:
            _log.warning("%s", verdict.message)
        return verdict

    def _reports(self, execution: _Unjudged) -> Iterator[StepReport]:
        found = np.asarray(execution.found).reshape(len(execution.places), -1)
        for place, vector in zip(execution.places, found, strict=True):
            yield self.probe.read(vector, place, execution.limit)

    def _with_rows(self, report: StepReport) -> StepReport:
        """The report with the rows to blame, where they have numbers; nothing is read yet."""
        numbers = getattr(self._source, "row_numbers", None)
        if numbers is None:
            return report
        shares = numbers(report.place.pass_index, report.place.batch)
        blamed = report.trouble.replicas or range(len(shares))
        rows = np.concatenate([shares[replica] for replica in blamed])
        found = replace(report, rows=tuple(map(int, rows)))
        # Where only the sum is not finite, no row is.
        return replace(found, look=partial(self._look, rows)) if report.trouble.replicas else found

    def _look(self, rows: np.ndarray) -> tuple[int, ...]:
        """Which of the rows are damaged; none where that has been asked too often, or cannot be found out."""
        if self._looks == MOST_LOOKS:
            return ()
        self._looks += 1
        try:
            # It has `damaged` with `row_numbers`.
            return tuple(map(int, self._source.damaged(rows)))  # type: ignore[attr-defined]
        except Exception as error:  # noqa: BLE001  # the user's own code runs here, beside training
            _log.warning("rows cannot be looked at again: %s: %s", type(error).__name__, error)
            return ()
