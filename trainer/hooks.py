"""Calls callbacks: every worker the same ones in the same order, and batch hooks only where there are any."""

from collections.abc import Callable, Sequence
from typing import Any

import keras

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
        self._active = [c for c in self.callbacks if is_chief or not _chief_only(c)]
        for callback in self.callbacks:
            # Keras's TensorBoard opens its files here.
            if is_chief or not isinstance(callback, _WRITERS):
                callback.set_model(model)
        for callback in self.callbacks:
            callback.set_params(params)
        self._batch: dict[str, list[Callable[..., None]]] = {}
        for hook in _BATCH_HOOKS:
            self._batch[hook] = [getattr(c, hook) for c in self._active if wants_batch_hook(c, hook)]

    def call(self, hook: str, *arguments: Any) -> None:
        """Calls `hook` of every callback in order."""
        for callback in self._active:
            getattr(callback, hook)(*arguments)

    def batch(self, hook: str, step: int, logs: dict[str, Any]) -> None:
        """Calls a batch hook where a callback has one."""
        for call in self._batch[hook]:
            call(step, logs)

    def has_batch_hooks(self, mode: str) -> bool:
        """Whether any callback, also one of another worker's, wants the metrics of every batch of `mode`."""
        hooks = (f"on_{mode}_batch_begin", f"on_{mode}_batch_end")
        # One with `batch_logs = False` has its hooks called and needs no metrics, which cost a collective.
        asking = [c for c in self.callbacks if getattr(c, "batch_logs", True) is not False]
        return any(wants_batch_hook(c, hook) for c in asking for hook in hooks)


_BATCH_HOOKS = tuple(
    f"on_{mode}_batch_{end}" for mode in ("train", "test", "predict") for end in ("begin", "end")
)


def wants_batch_hook(callback: Any, hook: str) -> bool:
    """Whether `callback` overrides `hook`, or the older name of it that Keras still calls."""
    if getattr(callback, "batch_hooks", True) is False:
        return False
    older = hook.replace("train_batch", "batch")
    return overrides_hook(callback, hook) or (older != hook and overrides_hook(callback, older))


def _chief_only(callback: Any) -> bool:
    return bool(getattr(callback, "chief_only", isinstance(callback, _WRITERS)))
