"""Calls callbacks: every worker the same ones in the same order, and batch hooks only where there are any.

Beside Keras's hooks there is one of Perdure's own: a callback with `is_due` and `inspect` (`BatchInspection`
is one) is shown the rows of the batches that it asks for. One that it does not ask for costs a comparison.
"""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from trainer.data import Step
from trainer.data.source import Structure
from trainer.keras_private import overrides_hook

# Keras's own callbacks that write to one path, which several workers would race for.
_WRITERS = (
    keras.callbacks.ModelCheckpoint,
    keras.callbacks.CSVLogger,
    keras.callbacks.TensorBoard,
    keras.callbacks.BackupAndRestore,
    keras.callbacks.RemoteMonitor,
    keras.callbacks.ProgbarLogger,
)


class Hooks:
    """The callbacks of one `fit`, `evaluate` or `predict`.

    Attributes:
        callbacks: All of them, in order.
        history: The History among them, if any.
    """

    def __init__(self, callbacks: Sequence[Any], model: Any, params: dict[str, Any], is_chief: bool) -> None:
        """Tells every callback its model and parameters; writers get their hooks on the chief alone."""
        self.callbacks = list(callbacks)
        self.history = next((c for c in self.callbacks if isinstance(c, keras.callbacks.History)), None)
        self._active = [c for c in self.callbacks if is_chief or not is_chief_only(c)]
        for callback in self.callbacks:
            # Keras's TensorBoard opens its files here.
            if is_chief or not isinstance(callback, _WRITERS):
                callback.set_model(model)
        for callback in self.callbacks:
            callback.set_params(params)
        self._inspecting = inspecting(callbacks, is_chief)
        self._batch: dict[str, list[Callable[..., None]]] = {}
        for hook in BATCH_HOOKS:
            self._batch[hook] = [getattr(c, hook) for c in self._active if wants_batch_hook(c, hook)]

    def call(self, hook: str, *arguments: Any) -> None:
        """Calls `hook` of every callback in order."""
        for callback in self._active:
            getattr(callback, hook)(*arguments)

    def batch(self, hook: str, step: int, logs: dict[str, Any]) -> None:
        """Calls a batch hook where a callback has one."""
        for call in self._batch[hook]:
            call(step, logs)

    def inspect(
        self, mode: str, first: int, steps: Sequence[Step], structure: Structure, outputs: Any = None
    ) -> None:
        """Shows the rows of this worker to the callbacks that want to see them.

        Args:
            mode: `train`, `test` or `predict`.
            first: Zero-based number of the first step in its epoch or walk.
            steps: Those that were run at once.
            structure: What the leaves of a step are put together to.
            outputs: What a prediction has given.
        """
        show(self._inspecting, mode, first, steps, structure, outputs)

    def inspect_parts(self, mode: str, batch: int, parts: dict[str, Any]) -> None:
        """As `inspect`, for a loop that has one batch by its parts: `x`, `y`, `sample_weight`, `outputs`."""
        _show(self._inspecting, mode, batch, 1, lambda _: parts)

    def has_batch_hooks(self, mode: str) -> bool:
        """Whether any callback, also one of another worker's, wants the metrics of every batch of `mode`."""
        hooks = (f"on_{mode}_batch_begin", f"on_{mode}_batch_end")
        # One with `batch_logs = False` has its hooks called all the same, with logs that may be empty: it
        # needs no metrics, which cost a collective.
        asking = [c for c in self.callbacks if getattr(c, "batch_logs", True) is not False]
        return any(wants_batch_hook(c, hook) for c in asking for hook in hooks)


BATCH_HOOKS = tuple(
    f"on_{mode}_batch_{end}" for mode in ("train", "test", "predict") for end in ("begin", "end")
)
"""The hooks around every batch."""


def wants_batch_hook(callback: Any, hook: str) -> bool:
    """Whether `callback` overrides `hook`, or the older name of it that Keras still calls."""
    if getattr(callback, "batch_hooks", True) is False:
        return False
    if hook.startswith("on_train_") and hasattr(callback, "steps_completed"):
        # It is told of steps by the meter, for which nothing waits for the device.
        return False
    older = hook.replace("train_batch", "batch")
    return overrides_hook(callback, hook) or (older != hook and overrides_hook(callback, older))


def inspecting(callbacks: Sequence[Any], is_chief: bool) -> list[Any]:
    """Those of this worker that look at rows."""
    looking = [c for c in callbacks if hasattr(c, "is_due") and hasattr(c, "inspect")]
    return [c for c in looking if is_chief or not is_chief_only(c)]


def show(
    looking: Sequence[Any],
    mode: str,
    first: int,
    steps: Sequence[Step],
    structure: Structure,
    outputs: Any = None,
) -> None:
    """As `Hooks.inspect`, to those of `inspecting`."""

    def parts_of(step: int) -> dict[str, Any]:
        parts = _parts(steps[step - first], structure)
        return parts if outputs is None else {**parts, "outputs": outputs}

    _show(looking, mode, first, len(steps), parts_of)


def _show(
    looking: Sequence[Any], mode: str, first: int, count: int, parts_of: Callable[[int], dict[str, Any]]
) -> None:
    for callback in looking:
        due = callback.is_due(mode, first, count)
        if due is not None:
            callback.inspect(mode, due, parts_of(due))


def _parts(step: Step, structure: Structure) -> dict[str, Any]:
    """The rows of all local replicas, together, by name; none where this worker has no row in the step."""
    shares = [replica for replica in step.replicas if replica is not None]
    if not shares:
        return {}
    leaves = tuple(
        np.concatenate([np.asarray(leaf) for leaf in column]) for column in zip(*shares, strict=True)
    )
    x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(structure.pack(leaves))
    parts = {"x": x, "y": y, "sample_weight": sample_weight}
    return {name: part for name, part in parts.items() if part is not None}


def is_chief_only(callback: Any) -> bool:
    """Whether hooks of `callback` are called on the chief alone."""
    return bool(getattr(callback, "chief_only", isinstance(callback, _WRITERS)))
