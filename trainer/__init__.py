"""Trains Keras 3 models on one process or on many; `from trainer import fit` is all a script needs."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trainer.loop import evaluate, fit, predict

__all__ = ["evaluate", "fit", "predict"]


def __getattr__(name: str) -> Any:
    # Lazy, so that `trainer.contract` stays free of TensorFlow. No module may be called `fit`:
    # importing it would hide this attribute.
    if name in __all__:
        from trainer import loop  # noqa: PLC0415

        return getattr(loop, name)
    raise AttributeError(f"module 'trainer' has no attribute {name!r}")
