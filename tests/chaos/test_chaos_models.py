"""What the model `hard16` is for: its loss scale is state that changes, and decides which steps count."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from launcher.experiment import load_experiment
from tests.chaos.__main__ import MODELS


def imported(folder: Path, name: str) -> Any:
    spec = importlib.util.spec_from_file_location(f"hard_{name}", folder / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.usefixtures("fresh_keras")
def test_the_loss_of_hard16_overflows_again_and_again() -> None:
    from trainer import fit
    from trainer.context import Context

    folder, settings = MODELS["hard16"]
    training = load_experiment(folder, list(settings)).spec.training
    parameters = dict(training.parameters)
    model = imported(folder, "model").build(parameters)
    context = Context(
        seed=11, worker=0, workers=1, replicas=1, is_chief=True, cache_directory=folder / "unused"
    )
    data, _ = imported(folder, "data").load(parameters, context)
    taken = []
    for _ in range(6):
        fit(model, data, batch_size=training.global_batch_size, verbose=0, seed=1)
        taken.append(int(model.optimizer.inner_optimizer.iterations.numpy()))
    steps = parameters["rows"] // training.global_batch_size
    assert training.steps_per_execution > 1
    # Steps are skipped in every epoch, and others are not. How far the scale gets depends on the processor.
    assert all(0 < later - before < steps for before, later in zip([0, *taken], taken, strict=False))
