"""From values to places on a chart and back: linear and logarithmic scales, and their ticks; pure."""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass

_LARGEST = 1e300
"""Values beyond are drawn as if they were this, so that differences stay finite."""
_SMALLEST = 5e-324
"""Above 0."""
_NICE = (1.0, 2.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True)
class Scale:
    """Maps values of an interval to places.

    Attributes:
        low: Smallest value.
        high: Largest value, above `low`.
        start: Where `low` lies.
        end: Where `high` lies.
        logarithmic: Whether equal factors are equally far apart; `low` is then above 0.
    """

    low: float
    high: float
    start: float
    end: float
    logarithmic: bool = False

    def __call__(self, value: float) -> float:
        """The place of a value."""
        low, high, at = (self._even(each) for each in (self.low, self.high, value))
        return self.start + (at - low) / (high - low) * (self.end - self.start)

    def _even(self, value: float) -> float:
        clipped = min(max(value, -_LARGEST), _LARGEST)
        return math.log10(clipped) if self.logarithmic else clipped


def covering(values: Iterable[float], start: float, end: float, *, ratio: float = 1000.0) -> Scale:
    """A scale for all these values with some room around them.

    Args:
        values: Finite.
        start: Where the smallest lies, but for the room.
        end: Where the largest lies, but for the room.
        ratio: Positive values that differ by this factor or more get a logarithmic scale.
    """
    clipped = [min(max(value, -_LARGEST), _LARGEST) for value in values]
    low, high = min(clipped, default=0.0), max(clipped, default=1.0)
    if low > 0 and high / low >= ratio:
        room = 10 ** (0.04 * (math.log10(high) - math.log10(low)))
        ends = max(low / room, _SMALLEST), min(high * room, _LARGEST)
        return Scale(*ends, start, end, logarithmic=True)
    room = 0.06 * (high - low) or 0.05 * abs(high) or 0.5
    return Scale(low - room, high + room, start, end)


def of_epochs(epochs: Iterable[float], start: float, end: float) -> Scale:
    """A scale from the first to the last epoch; a single one lies in its middle."""
    found = list(epochs)
    low, high = min(found, default=1.0), max(found, default=1.0)
    return Scale(low, high, start, end) if low < high else Scale(low - 0.5, high + 0.5, start, end)


def ticks(scale: Scale, most: int, *, whole: bool = False) -> list[float]:
    """Round values of a scale, ascending.

    Args:
        scale: The scale.
        most: No more than that.
        whole: Integers only.
    """
    found = _decades(scale, most) if scale.logarithmic else []
    if len(found) >= 2:
        return found
    step = _nice((scale.high - scale.low) / most)
    step = max(1.0, math.ceil(step)) if whole else step
    first = math.ceil(scale.low / step - 1e-9)
    last = math.floor(scale.high / step + 1e-9)
    return [index * step for index in range(first, last + 1)][: most + 2]


def labels(values: list[float]) -> list[str]:
    """Ticks as text, with as many digits as tell them apart."""
    if all(value == int(value) for value in values) and max(map(abs, values), default=0) < 1e6:
        return [f"{int(value)}" for value in values]
    for digits in range(1, 8):
        told = [f"{value:.{digits}g}" for value in values]
        if all(
            math.isclose(float(each), value, rel_tol=1e-6) for each, value in zip(told, values, strict=True)
        ):
            break
    return [_short(each) for each in told]


def _short(text: str) -> str:
    mantissa, sign, exponent = text.partition("e")
    told = f"{mantissa}e{int(exponent)}" if sign else mantissa
    power = f"{float(text):e}".partition("e")[2]
    return f"1e{int(power)}" if re.fullmatch(r"0\.000+1", told) else told


def _nice(step: float) -> float:
    size = 10.0 ** math.floor(math.log10(step))
    return next(nice * size for nice in _NICE if nice * size >= step * (1 - 1e-9))


def _decades(scale: Scale, most: int) -> list[float]:
    first, last = math.ceil(math.log10(scale.low)), math.floor(math.log10(scale.high))
    if first > last:
        return []
    every = max(1, math.ceil((last - first + 1) / most))
    if every == 1 and 3 * (last - first + 1) <= most:
        finer = [factor * 10.0**power for power in range(first - 1, last + 1) for factor in (1.0, 2.0, 5.0)]
        return [value for value in finer if scale.low <= value <= scale.high]
    return [10.0**power for power in range(first, last + 1, every)]
