"""Curves in one line of a terminal, of blocks of eight heights; pure."""

import math
from collections.abc import Mapping, Sequence

SHOWN = ("loss", "val_loss")
"""What is drawn while a run trains."""

_BLOCKS = "▁▂▃▄▅▆▇█"
_NO_NUMBER = "x"
_LEAST = 8
"""A narrower curve says nothing."""
_MOST = 60

Value = float | None
"""None where nothing was measured."""


def sparkline(
    values: Sequence[Value], width: int, low: float | None = None, high: float | None = None
) -> str:
    """A curve.

    Args:
        values: One per epoch; None leaves a gap, and what is no finite number shows as `x`.
        width: No more columns than that: of more values each column is the mean of several.
        low: What the lowest block stands for; the lowest value if not given.
        high: What the highest block stands for; the highest value if not given.
    """
    finite = [value for value in values if value is not None and math.isfinite(value)]
    low = min(finite, default=0.0) if low is None else low
    high = max(finite, default=0.0) if high is None else high
    count = min(len(values), width)
    cuts = [len(values) * n // count for n in range(count + 1)] if count > 0 else [0]
    return "".join(_block(values[cuts[n] : cuts[n + 1]], low, high) for n in range(len(cuts) - 1))


def curves(history: Sequence[Mapping[str, float]], columns: int) -> list[tuple[str, str]]:
    """The name of each of `SHOWN` that was seen twice, and its curve between its first and its last value.

    Args:
        history: The metrics of one epoch after the other.
        columns: How many columns there are for a curve with its two values.
    """
    found = {name: [each.get(name) for each in history] for name in SHOWN}
    found = {name: values for name, values in found.items() if len(_known(values)) > 1}
    finite = [value for values in found.values() for value in _known(values) if math.isfinite(value)]
    # All on one scale, so that they can be compared.
    low, high = min(finite, default=0.0), max(finite, default=0.0)
    ends = {name: [f"{_known(values)[at]:.4g}" for at in (0, -1)] for name, values in found.items()}
    first, last = (max((len(each[at]) for each in ends.values()), default=0) for at in (0, -1))
    width = min(_MOST, columns - first - last - 2)
    if width < _LEAST:
        return []
    return [
        (name, f"{ends[name][0]:>{first}} {sparkline(values, width, low, high)} {ends[name][1]}")
        for name, values in found.items()
    ]


class Seen:
    """The metrics of the epochs seen so far, each once, of a run that tells only those of its last one."""

    def __init__(self) -> None:
        self.history: list[dict[str, float]] = []

    def look(self, metrics: Mapping[str, float]) -> None:
        """Takes the metrics of the last epoch; what was seen already goes on from there.

        A run that goes on after an interruption repeats epochs, and gets the same metrics again.
        """
        if not metrics:
            return
        # Texts compare equal where numbers are NaN.
        known = [repr(each) for each in self.history]
        if (now := repr(dict(metrics))) in known:
            del self.history[known.index(now) + 1 :]
        else:
            self.history.append(dict(metrics))


def _known(values: Sequence[Value]) -> list[float]:
    return [value for value in values if value is not None]


def _block(values: Sequence[Value], low: float, high: float) -> str:
    known = _known(values)
    if not known:
        return " "
    mean = sum(each / len(known) for each in known)
    if not math.isfinite(mean):
        return _NO_NUMBER
    # Halves, since the difference of two very large numbers may be no number.
    span = high / 2 - low / 2
    part = (mean / 2 - low / 2) / span if span > 0 else 0.0
    return _BLOCKS[min(len(_BLOCKS) - 1, max(0, int(part * len(_BLOCKS))))]
