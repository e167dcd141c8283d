"""What an experiment's own code makes: its model, its data, its callbacks, each checked as it is made."""

import tempfile
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras

from trainer import user_code
from trainer.context import Context
from trainer.contract.exit_codes import ExitCode
from trainer.contract.training import CallbacksSpec, TrainingSpec
from trainer.distribution import Topology, broadcast_arrays
from trainer.failure import SetupError

Strategy = Any


def build_model(spec: TrainingSpec, folder: Path, strategy: Strategy) -> Any:
    """The compiled model, made in the strategy's scope.

    Raises:
        SetupError: It is no model, or not compiled.
        Exception: Whatever the experiment's code raises.
    """
    build = user_code.load(spec.model, folder)
    with strategy.scope():
        model = build(dict(spec.parameters))
    if not isinstance(model, keras.Model):
        raise _wrong(spec.model, f"must return a compiled keras.Model, but returned {shown(model)}")
    if not model.compiled:
        raise _wrong(spec.model, "returned a model that is not compiled; call model.compile(...) in it")
    if spec.steps_per_execution > 1:
        model.steps_per_execution = spec.steps_per_execution
    return model


def load_data(spec: TrainingSpec, folder: Path, context: Context) -> tuple[Any, Any]:
    """The data of training and of validation; the latter may be None.

    Raises:
        SetupError: They are no such pair.
        Exception: Whatever the experiment's code raises.
    """
    load: Callable[..., Any] = user_code.load(spec.data, folder)
    pair = load(dict(spec.parameters), context)
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        raise _wrong(spec.data, f"must return the pair (train, validation), but returned {shown(pair)}")
    data, validation = pair
    if data is None:
        raise _wrong(spec.data, "returned None in place of training data")
    for name, part in (("training", data), ("validation", validation)):
        if isinstance(part, tuple | list) and len(part) not in (2, 3):
            raise _wrong(
                spec.data,
                f"returned {len(part)} parts as {name} data; expected (x, y) or (x, y, sample_weight)",
            )
    return data, validation


def custom_callbacks(spec: CallbacksSpec, folder: Path) -> list[Any]:
    """The callbacks of `callbacks.custom`, in their order.

    Raises:
        SetupError: One is none, or swaps averages that are to be stored.
        Exception: Whatever the experiment's code raises.
    """
    callbacks: list[Any] = []
    for reference in spec.custom:
        made = user_code.load(reference, folder)()
        for callback in made if isinstance(made, list | tuple) else [made]:
            if not isinstance(callback, keras.callbacks.Callback):
                raise _wrong(
                    reference,
                    f"must return a Keras callback or a list of them, but returned {shown(callback)}",
                )
            callbacks.append(callback)
    _refuse_double_swap(spec, callbacks)
    return callbacks


def start_from(model: Any, path: str, folder: Path, strategy: Strategy) -> None:
    """Gives all workers the weights that the chief reads, as data and never as code."""
    if Topology.of(strategy).is_chief:
        _read_weights(model, folder / path)
    model.set_weights(broadcast_arrays(strategy, model.get_weights()))


def shown(value: Any) -> str:
    """What a value is, for a message about one that is not what it should be."""
    return "nothing" if value is None else type(value).__name__


def _refuse_double_swap(spec: CallbacksSpec, custom: Sequence[Any]) -> None:
    """Refuses what would store the weights where averages were asked for, in silence."""
    swapping = [c for c in custom if isinstance(c, keras.callbacks.SwapEMAWeights) and c.swap_on_epoch]
    asking = [f"callbacks.best_models.{i}.ema" for i, best in enumerate(spec.best_models) if best.ema]
    if swapping and asking:
        raise SetupError(
            f"{asking[0]} asks for the averages, which SwapEMAWeights(swap_on_epoch=True) of "
            "callbacks.custom has put into the model when it is stored, and the weights in their place; "
            "leave one of the two out",
            ExitCode.USAGE,
        )


def _read_weights(model: Any, path: Path) -> None:
    if path.name.endswith(".keras"):
        # `load_weights` reads the weights inside the archive and ignores the code that could be beside them.
        with tempfile.TemporaryDirectory() as scratch:
            inner = Path(scratch) / "model.weights.h5"
            inner.write_bytes(_member(path, "model.weights.h5"))
            model.load_weights(inner)
    else:
        model.load_weights(path)


def _member(archive: Path, name: str) -> bytes:
    with zipfile.ZipFile(archive) as opened:
        return opened.read(name)


def _wrong(reference: str, what: str) -> SetupError:
    place, _, name = reference.rpartition(":")
    return SetupError(f"{name} in {place} {what}", ExitCode.USAGE)
