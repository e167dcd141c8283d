"""A training that saves a large state now and then; reports how long it stood still, and its peak memory."""

import argparse
import itertools
import json
import os
import resource
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np

from benchmarks import saves
from trainer import fit
from trainer.checkpoint.variables import StateVariables
from trainer.contract.position import Phase
from trainer.contract.run_directory import CheckpointId
from trainer.gate import Command, OpenGate
from trainer.run_saves import RunSaves

# Units of each of three dense layers; with Adam's two slots the state is three times the weights.
_UNITS = {"100mb": 1667, "1gb": 5270}
_LAYERS = 3
_BATCH = 8
# Steps of calm before anything is measured, so that what is paid once, or was left over, is no part of it.
_CALM_STEPS = 4


class _Clock(OpenGate):
    """Notes when each ticket was passed."""

    def __init__(self) -> None:
        self.passed: list[float] = []

    def begin(self, position: Any) -> Command:
        self.passed.append(time.perf_counter())
        return super().begin(position)


class _Listener(saves.Committed):
    """Notes when each checkpoint was written."""

    def __init__(self) -> None:
        super().__init__()
        self.moments: list[float] = []

    def committed(self, checkpoint: CheckpointId, seconds: float, size: int) -> None:
        super().committed(checkpoint, seconds, size)
        self.moments.append(time.perf_counter())


class _Measured(RunSaves):
    """Saves and measures in calm moments, as often as wanted; in turn ours beside copies, and Keras's.

    Attributes:
        seconds: What each kind of save or copy took, by its name.
        saved: When each save of ours returned, and training went on.
    """

    def __init__(self, *arguments: Any, rounds: int, scratch: Path | None) -> None:
        super().__init__(*arguments)
        self.seconds: dict[str, list[float]] = {}
        self.saved: list[float] = []
        self._rounds = rounds
        self._scratch = scratch
        self._calm = -_CALM_STEPS
        self._turn = 0
        self._copy: tuple[Any, Any] | None = None
        self._keras: list[Any] = []

    def due(self, state: Any) -> bool:
        assert self._writer is not None
        if state.phase is not Phase.TRAINING:
            return False
        self._calm = 0 if self._writer.busy else self._calm + 1
        if self._calm <= _CALM_STEPS:
            return False
        self._model.stop_training = self._turn == self._rounds * (2 if self._scratch else 1)
        return not self._model.stop_training

    def save(self, state: Any, wait: bool) -> None:
        ours = self._scratch is None or self._turn % 2 == 0
        self._turn += 1
        self._calm = 0
        if not ours:
            self._save_with_keras()
            return
        if self._scratch is not None:
            self._copy_memory()
        self._time("ours", lambda: super(_Measured, self).save(state, wait))
        self.saved.append(time.perf_counter())

    def _copy_memory(self) -> None:
        if self._copy is None:
            size = state_bytes(self._model)
            self._copy = np.ones(size, np.uint8), np.ones(size, np.uint8)
        source, warm = self._copy
        self._time("copy into a fresh buffer", source.copy)
        self._time("copy into a warm buffer", lambda: np.copyto(warm, source))

    def _save_with_keras(self) -> None:
        if not self._keras:
            directory = str(self._scratch)
            self._keras = [
                keras.callbacks.ModelCheckpoint(f"{directory}/model.keras"),
                keras.callbacks.BackupAndRestore(f"{directory}/backup"),
            ]
            for callback in self._keras:
                callback.set_model(self._model)
                callback.on_train_begin()
        self._time("Keras", lambda: [callback.on_epoch_end(0, {}) for callback in self._keras])
        # What is still on its way to the disk is no part of what is measured next.
        os.sync()

    def _time(self, name: str, call: Any) -> None:
        began = time.perf_counter()
        call()
        self.seconds.setdefault(name, []).append(time.perf_counter() - began)


def state_bytes(model: Any) -> int:
    """Bytes of weights and slots."""
    return sum(v.nbytes for v in StateVariables.of(model, model.distribute_strategy).mirrored)


def measure(size: str, rounds: int, mode: str) -> dict[str, Any]:
    """Trains and saves.

    Args:
        size: A key of `_UNITS`.
        rounds: How often each save is made.
        mode: `times` for all saves, in turn; `saves` for ours alone; `none` for training without saves.

    Returns:
        Seconds by kind of save, of steps, peak memory and size of the state in bytes.
    """
    keras.utils.set_random_seed(7)
    units = _UNITS[size]
    layers = [keras.layers.Dense(units) for _ in range(_LAYERS)]
    model = keras.Sequential([keras.Input((units,)), *layers])
    model.compile(keras.optimizers.Adam(1e-3), "mse")
    # As a rule far more than it takes: training ends with the last save.
    rows = _BATCH * rounds * 60
    x = np.random.default_rng(7).random((rows, units), np.float32)
    if mode == "none":
        # Nothing ends it; memory is compared, so the rows that it does not need are there too.
        x = x[: _BATCH * rounds * 5]
    clock, listener = _Clock(), _Listener()
    found: list[_Measured] = []
    with tempfile.TemporaryDirectory() as directory:
        scratch = Path(directory, "keras") if mode == "times" else None

        def kind(*arguments: Any) -> _Measured:
            found.append(_Measured(*arguments, rounds=rounds, scratch=scratch))
            return found[-1]

        opened = saves.opener(Path(directory, "run"), listener, kind) if mode != "none" else None
        fit(model, x, x, batch_size=_BATCH, shuffle=False, verbose=0, gate=clock, saves=opened)
    if listener.failures:
        raise listener.failures[0]
    report: dict[str, Any] = {
        "state": state_bytes(model),
        # In KiB on Linux.
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }
    if found:
        assert len(found[0].seconds["ours"]) == rounds, "the run was too short for all saves"
        report |= {"seconds": found[0].seconds, **_steps(clock.passed, found[0].saved, listener.moments)}
    return report


def _steps(passed: list[float], saved: list[float], committed: list[float]) -> dict[str, float]:
    """Median seconds of a step in calm and while a checkpoint is written, and of the writing itself."""
    windows = list(zip(saved, committed, strict=False))
    calm, busy = [], []
    for began, ended in itertools.pairwise(passed):
        if any(began >= s and ended <= c for s, c in windows):
            busy.append(ended - began)
        elif not any(began <= c and ended >= s for s, c in windows):
            calm.append(ended - began)
    return {
        "calm": statistics.median(calm),
        "busy": statistics.median(busy) if busy else 0.0,
        "writing": statistics.median(c - s for s, c in windows),
    }


def main() -> None:
    """Parses the command line, measures, reports."""
    parser = argparse.ArgumentParser()
    parser.add_argument("size", choices=tuple(_UNITS))
    parser.add_argument("mode", choices=("times", "saves", "none"))
    parser.add_argument("--rounds", type=int, required=True)
    parser.add_argument("--report", required=True)
    arguments = parser.parse_args()
    measured = measure(arguments.size, arguments.rounds, arguments.mode)
    Path(arguments.report).write_text(json.dumps(measured))


if __name__ == "__main__":
    main()
