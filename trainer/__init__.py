"""Trains Keras 3 models on one process or on many; `from trainer import fit` is all a script needs.

`callbacks_for` gives the callbacks of `fit` to a loop of one's own.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trainer.custom_loop import callbacks_for
    from trainer.loop import evaluate, fit, predict

__all__ = ["callbacks_for", "evaluate", "fit", "predict"]


def __getattr__(name: str) -> Any:
    # Lazy, so that `trainer.contract` stays free of TensorFlow. No module may be called `fit`:
    # importing it would hide this attribute.
    if name == "callbacks_for":
        from trainer.custom_loop import callbacks_for  # noqa: PLC0415

        return callbacks_for
    if name in __all__:
        from trainer import loop  # noqa: PLC0415

        return getattr(loop, name)
    raise AttributeError(f"module 'trainer' has no attribute {name!r}")
