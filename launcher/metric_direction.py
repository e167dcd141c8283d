"""Which way a metric gets better, as its name tells; pure."""

_SMALLER = (
    "loss", "error", "mse", "mae", "rmse", "mape", "msle", "perplexity", "divergence", "hinge",
    "crossentropy", "false_positives", "false_negatives",
)  # fmt: skip
_LARGER = (
    "accuracy", "acc", "auc", "precision", "recall", "f1", "iou", "r2", "dice", "true_positives",
    "true_negatives",
)  # fmt: skip
_TURNED = ("neg", "negated", "negative")
"""The other way round than what follows in the name."""


def usual_direction(monitor: str) -> str | None:
    """`min` or `max`, where a metric's name tells; None where it does not, tells both, or turns it round."""
    name = f"_{monitor.removeprefix('val_')}_"
    smaller, larger, turned = (
        any(f"_{word}_" in name for word in words) for words in (_SMALLER, _LARGER, _TURNED)
    )
    if smaller == larger or turned:
        return None
    return "min" if smaller else "max"


def larger_is_better(monitor: str, mode: str = "auto") -> bool:
    """Which way a metric gets better: by the mode, else by its name; a name that tells nothing is a loss."""
    return (usual_direction(monitor) if mode == "auto" else mode) == "max"
