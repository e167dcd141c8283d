"""A training process that notes when each part of its start began and ended, and how far it has come."""

import importlib
import sys
from typing import Any

from benchmarks.timeline import ASSIGNED, FIRST_STEP, GOES_ON, IMPORT, IMPORT_AHEAD, Timeline
from trainer import training_process
from trainer.contract.position import Phase
from trainer.control import Control

# Module, name in it, name of the part. Parts may lie in each other.
_PARTS = (
    ("trainer.training_run", "create_strategy", "strategy"),
    ("trainer.training_run", "build_model", "build"),
    ("trainer.training_run", "load_data", "data"),
    ("trainer.result", "environment", "environment"),
    ("trainer.loop", "_agreed_seed", "agreed seed"),
    ("trainer.loop", "_prepare", "variables"),
    ("trainer.evaluation", "Evaluation.__init__", "test trace"),
    ("trainer.training", "Training.__init__", "train trace"),
    ("trainer.run_saves", "RunSaves.restore", "restore"),
)


def _time_parts(timeline: Timeline) -> None:
    for module_name, path, part in _PARTS:
        owner: Any = importlib.import_module(module_name)
        *inside, name = path.split(".")
        for each in inside:
            owner = getattr(owner, each)
        setattr(owner, name, timeline.timed(part, getattr(owner, name)))
    _count_steps(timeline)


def _count_steps(timeline: Timeline) -> None:
    from trainer.tickets import Tickets

    restore, completed = Tickets.restore, Control.completed
    running: list[Tickets] = []
    before_epoch: dict[int, int] = {}

    def noted_restore(tickets: Tickets) -> bool:
        running.append(tickets)
        found = restore(tickets)
        timeline.moment(GOES_ON, steps=tickets.state.steps)
        timeline.stepped(tickets.state.steps)
        return found

    def noted_completed(control: Control, position: Any) -> None:
        completed(control, position)
        if not before_epoch:
            timeline.moment(FIRST_STEP)
        state = running[0].state
        if position.epoch not in before_epoch:
            before_epoch[position.epoch] = state.steps - state.step * (state.phase is Phase.TRAINING)
        if position.phase is Phase.TRAINING:
            timeline.stepped(before_epoch[position.epoch] + position.step + 1)

    # This is what tracing is; as attributes they bind as the methods before them did.
    setattr(Tickets, "restore", noted_restore)  # noqa: B010
    setattr(Control, "completed", noted_completed)  # noqa: B010


def main() -> int:
    """Runs `trainer.training_process` under the clock."""
    timeline = Timeline()
    prepare, work = training_process._prepare, training_process._work

    def prepared(message: Any) -> None:
        timeline.timed(IMPORT, prepare)(message)
        _time_parts(timeline)

    def assigned(assignment: Any, control: Control) -> int:
        timeline.moment(ASSIGNED, worker=assignment.worker, attempt=assignment.attempt)
        return work(assignment, control)

    training_process._prepare = prepared
    training_process._import_ahead = timeline.timed(IMPORT_AHEAD, training_process._import_ahead)
    training_process._work = assigned
    return training_process.main()


if __name__ == "__main__":
    sys.exit(main())
