"""Records of steps over an interruption: each step is in the files once, whatever was written by then."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from tests.trainer.saves_at_ticket import Interrupted, SavesAtTicket
from tests.trainer.test_loop_resumes import X, Y, build
from trainer import fit
from trainer.callbacks import StepStream
from trainer.callbacks.step_sinks import FileSink
from trainer.loop_state import LoopState

BATCH, EPOCHS, STEPS = 8, 3, 10


class KilledLater(SavesAtTicket):
    """Saves at one ticket, goes on, and ends training some tickets later."""

    def __init__(self, model: Any, callbacks: Any, at: int, until: int) -> None:
        super().__init__(model, callbacks, at, None)
        self.stream = next(c for c in callbacks if isinstance(c, StepStream))
        self.until = until
        self.streamed = ""

    def due(self, state: LoopState) -> bool:
        if self.tickets == self.until:
            raise Interrupted
        return super().due(state)

    def save(self, state: LoopState, wait: bool) -> None:
        self.streamed = json.dumps(self.stream.state())
        with pytest.raises(Interrupted):
            super().save(state, wait)


class Resumed(SavesAtTicket):
    """Goes on from such a save."""

    def __init__(self, model: Any, callbacks: Any, start: Any, streamed: str) -> None:
        super().__init__(model, callbacks, None, start)
        self.stream = next(c for c in callbacks if isinstance(c, StepStream))
        self.streamed = streamed

    def restore(self) -> LoopState | None:
        self.stream.restore(json.loads(self.streamed))
        return super().restore()


def train(folder: Path, pause: float, **arguments: Any) -> None:
    sink = FileSink(str(folder))
    sink.pause = pause  # type: ignore[misc]  # a class's constant elsewhere
    fit(
        build("plain", 1), X, Y, batch_size=BATCH, epochs=EPOCHS, verbose=0, seed=3,
        callbacks=[StepStream(sink)], **arguments,
    )  # fmt: skip


def places(folder: Path) -> list[tuple[int, int]]:
    files = sorted(folder.iterdir()) if folder.exists() else []
    lines = [line for path in files for line in path.read_text().splitlines()]
    return [(record["epoch"], record["step"]) for record in map(json.loads, lines)]


@pytest.mark.parametrize("pause", [0.001, 1e9], ids=["all was written", "nothing was written"])
@pytest.mark.parametrize(("at", "until"), [(3, 9), (10, 17), (13, 30), (25, 28)])
def test_each_step_is_there_once(tmp_path: Path, pause: float, at: int, until: int) -> None:
    kept: list[KilledLater] = []

    def killed(model: Any, callbacks: Any) -> KilledLater:
        kept.append(KilledLater(model, callbacks, at, until))
        return kept[0]

    with pytest.raises(Interrupted):
        train(tmp_path, pause, saves=killed)
    # What the killed process's thread was writing it has written; it writes no more.
    while pause < 1 and kept[0].stream.state()["unsent"]:
        time.sleep(0.001)
    train(
        tmp_path,
        0.001,
        saves=lambda model, callbacks: Resumed(model, callbacks, kept[0].saved[0], kept[0].streamed),
    )
    expected = [(epoch, step) for epoch in range(1, EPOCHS + 1) for step in range(1, STEPS + 1)]
    assert places(tmp_path) == expected
