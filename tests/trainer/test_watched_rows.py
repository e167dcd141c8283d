"""Rows that are to blame for a step: their data are looked at seldom, and never beside the feed's reading."""

import logging
import threading
from typing import Any

import keras
import numpy as np
import pytest

from trainer import fit
from trainer.callbacks import GradientMonitor, Watchdog
from trainer.data.rows import SequenceRows
from trainer.step_watch import MOST_LOOKS

BATCH, STEPS = 4, 3 * MOST_LOOKS


class Reading:
    """Every other batch holds a NaN; each row is counted, by who reads it."""

    def __init__(self, *, fails: bool = False) -> None:
        self.fed: list[int] = []
        self.looked_at: list[int] = []
        self._fails = fails

    def __len__(self) -> int:
        return BATCH * STEPS

    def __getitem__(self, index: int) -> Any:
        if threading.current_thread().name == "data":
            self.fed.append(index)
        elif self.fed:
            self.looked_at.append(index)
            if self._fails:
                raise OSError("the file has been moved")
        row = np.full(2, index / len(self), "float32")
        if index % (2 * BATCH) == 1:
            row[1] = np.nan
        return row, row[:1]


def train(rows: Reading, *callbacks: Any) -> None:
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.1), "mse")
    fit(model, rows, batch_size=BATCH, epochs=1, shuffle=False, verbose=0, callbacks=list(callbacks))


@pytest.mark.parametrize(
    "observers", [[Watchdog(non_finite=None), GradientMonitor()], [GradientMonitor()]], ids=["both", "one"]
)
def test_steps_that_nobody_tells_of_are_not_looked_at(observers: list[Any]) -> None:
    rows = Reading()
    train(rows, *observers)
    assert len(rows.fed) == len(rows)
    assert rows.looked_at == []


def test_so_many_steps_are_looked_at_and_no_more(caplog: pytest.LogCaptureFixture) -> None:
    rows = Reading()
    with caplog.at_level(logging.WARNING):
        train(rows, Watchdog(non_finite="skip"))
    # Each bad step stands alone, and so each is told.
    told = [record.message for record in caplog.records if "not finite" in record.message]
    assert len(told) == STEPS // 2
    named = [f"row {8 * step + 1} of the data has values" in message for step, message in enumerate(told)]
    assert named == [step < MOST_LOOKS for step in range(len(told))]
    assert "which trained on rows 128, 129, 130, 131 of the data" in told[MOST_LOOKS]
    assert len(rows.looked_at) == MOST_LOOKS * BATCH


def test_what_a_second_reading_raises_is_told_and_training_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    rows = Reading(fails=True)
    with caplog.at_level(logging.WARNING):
        train(rows, Watchdog(non_finite="skip"))
    assert len(rows.fed) == len(rows)
    assert "rows cannot be looked at again: OSError: the file has been moved" in caplog.text
    assert "which trained on rows 0, 1, 2, 3 of the data" in caplog.text


@pytest.mark.parametrize("in_batches", [False, True])
def test_one_thread_reads_at_a_time(in_batches: bool) -> None:
    together = threading.Barrier(2, timeout=1.0)
    met: list[bool] = []

    class Rows:
        meets = False

        def __len__(self) -> int:
            return 2

        def __getitem__(self, index: int) -> Any:
            return self.meet() if self.meets else np.zeros(1, "float32")

        def meet(self) -> Any:
            try:
                together.wait()
                met.append(True)
            except threading.BrokenBarrierError:
                pass
            return np.zeros(1, "float32")

    class Batches(Rows):
        def take(self, indices: Any) -> Any:
            return self.meet()[None]

    given = Batches() if in_batches else Rows()
    rows = SequenceRows(given)
    given.meets = True
    threads = [threading.Thread(target=rows.take, args=(np.asarray([row]),)) for row in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert met == []
