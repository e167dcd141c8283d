"""Hundreds of agreed saves in one run, asked for at any moment, some of them at once by both workers."""

import csv
import json
import random
import textwrap
from collections import Counter
from pathlib import Path

import pytest

from tests.chaos.comparison import differences
from tests.integration.real_run import RealRun
from trainer.contract.messages import Held, Save, Saved, Started
from trainer.contract.position import Phase

pytestmark = [pytest.mark.processes, pytest.mark.timeout(900)]

HOLDS = 300
MOST_EPOCHS = 1000
SETTINGS = ("checkpoint.every={steps: 1000000}", "checkpoint.keep=1000")
STOPPED = ("callbacks.custom=[callbacks.py:make]", "callbacks.early_stopping=false")
ANSWER_SECONDS = 120.0


# How many holds an epoch has room for depends on the machine: the run lasts until there were enough.
CALLBACKS = """
    from pathlib import Path
    import keras

    class Last(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            last = Path(__file__).parent.with_name("last")
            if last.exists() and epoch + 1 >= int(last.read_text()):
                self.model.stop_training = True

    def make():
        return Last()
"""


class RunWithLast(RealRun):
    """Ends with the epoch whose number, from 1, its file `last` holds; at once where that is over."""

    def __init__(self, folder: Path, *settings: str) -> None:
        code = folder / "experiment" / "callbacks.py"
        code.parent.mkdir(parents=True)
        code.write_text(textwrap.dedent(CALLBACKS))
        super().__init__(folder, *STOPPED, *settings, epochs=MOST_EPOCHS)
        self.last = folder / "last"

    @property
    def epochs(self) -> int:
        """How many were trained."""
        with (self.directory / "logs/training.csv").open() as log:
            return sum(1 for _ in csv.DictReader(log))


def test_three_hundred_holds_at_all_phases_change_no_bit_and_none_is_stuck(tmp_path: Path) -> None:
    with RunWithLast(tmp_path / "held", *SETTINGS) as run:
        ask_until_finished(run, random.Random(4))
        run.wait_until_finished()
    undisturbed = RunWithLast(tmp_path / "undisturbed")
    undisturbed.last.write_text(str(run.epochs))
    with undisturbed:
        undisturbed.wait_until_finished()
    assert run.attempts == [1]
    assert sorted(run.exits) == [(0, 0), (1, 0)]
    # Behind the last gate there is nothing left to do but to finish: such a hold has no save.
    saved = Counter(each.id for each in run.of(Saved))
    assert all(saved[each] == 2 for each in list(saved)[:-1])
    taken = phases(run.directory)
    print(f"{len(saved)} holds in {run.epochs} epochs: {taken}")
    assert taken.total() >= HOLDS
    assert set(taken) == set(Phase) - {Phase.BUILDING}
    assert run.of(Held)[0].begun == 0, "the first hold was answered before the first ticket began"
    assert differences(str(undisturbed.directory), str(run.directory)) == []


def ask_until_finished(run: RunWithLast, draw: random.Random) -> None:
    """Asks one or both supervisors for a save, sometimes again while it is under way, until the run ends."""
    # The first time while the processes still build.
    run.wait_for(lambda: len(run.of(Started)) == 2)
    while not run.exits:
        if saves_of_both(run) > HOLDS and not run.last.exists():
            run.last.write_text("1")
        held, saved, done = len(run.of(Held)), len(run.of(Saved)), saves_of_both(run)
        for worker in draw.choice([(0,), (1,), (0, 1)]):
            run.tell(worker, Save())
        again = draw.choice(["before or after its release", "after its release", "not"])
        if again == "before or after its release":
            run.wait_for(lambda before=held: run.exits or len(run.of(Held)) > before, ANSWER_SECONDS)
        if again == "after its release":
            run.wait_for(lambda before=saved: run.exits or len(run.of(Saved)) > before, ANSWER_SECONDS)
        if again != "not" and not run.exits:
            run.tell(draw.randrange(2), Save())
        run.wait_for(lambda before=done: run.exits or saves_of_both(run) > before, ANSWER_SECONDS)


def saves_of_both(run: RealRun) -> int:
    """How many holds both workers have carried out."""
    return sum(count == 2 for count in Counter(each.id for each in run.of(Saved)).values())


def phases(directory: Path) -> Counter[str]:
    """How many checkpoints were taken before a ticket of each phase."""
    manifests = directory.glob("checkpoints/*/manifest.json")
    read = (json.loads(each.read_text())["manifest"] for each in manifests)
    return Counter(each["position"]["phase"] for each in read)
