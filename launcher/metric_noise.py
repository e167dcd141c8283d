"""How noisy a metric is from epoch to epoch, and how much patience that asks for; pure.

A patience that is shorter than the noise lasts stops a run that is still improving. Two estimates are
weighed, both robust, so that a spike or a restart does not decide:

- The noise of one epoch, sigma: from what each value lies off the mean of its two neighbours, which takes any
  straight trend out (the pseudo-residuals of Gasser, Sroka and Jennen-Steinmetz 1986, "Residual variance and
  residual pattern in nonlinear regression"). Such a residual of independent values has the variance
  3/2 sigma^2. In place of their mean square stands the median of the magnitudes over 0.6745, what it is for a
  normal distribution (Rousseeuw and Croux 1993, "Alternatives to the median absolute deviation").
- The improvement of one epoch, delta: the median of the slopes between all pairs of epochs (Theil 1950, Sen
  1968), of the later half of the epochs up to the best one. That is the pace at which it still improved.

After p epochs it has improved by p * delta, if it goes on. The difference of two epochs has a standard
deviation of sqrt(2) * sigma, so an improvement shows, with a confidence of 95 %, once
p * delta >= 1.645 * sqrt(2) * sigma.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import median

FEWEST_EPOCHS = 8
"""Nothing is said of a shorter run."""
LONGEST_PATIENCE = 1000
"""An improvement that would take longer to show is none worth waiting for."""

_NORMAL_MEDIAN = 0.6745
_ONE_SIDED_95 = 1.645
_MOST_POINTS = 200


@dataclass(frozen=True)
class Noise:
    """What was measured of a metric.

    Attributes:
        sigma: Standard deviation of one epoch's noise, in the metric's units.
        delta: Improvement of one epoch towards the best, in the same units; 0 where there was none.
        patience: Epochs of patience that this asks for, at least 1; None where no improvement could be told
            from the noise.
    """

    sigma: float
    delta: float
    patience: int | None


def measure(values: Sequence[float], *, larger_is_better: bool) -> Noise | None:
    """Measures a metric's noise.

    Args:
        values: Of each epoch, in order; finite.
        larger_is_better: Which way it gets better.

    Returns:
        None where there are fewer than `FEWEST_EPOCHS`.
    """
    if len(values) < FEWEST_EPOCHS:
        return None
    sigma = noise_of(values)
    losses = [-value for value in values] if larger_is_better else list(values)
    best = losses.index(min(losses))
    delta = max(0.0, -_slope(losses[best // 2 : best + 1]))
    needed = math.inf if delta == 0.0 else _ONE_SIDED_95 * math.sqrt(2.0) * sigma / delta
    patience = max(1, math.ceil(needed)) if needed <= LONGEST_PATIENCE else None
    return Noise(sigma, delta, patience)


def noise_of(values: Sequence[float]) -> float:
    """The standard deviation of one epoch's noise; 0 of fewer than three values."""
    if len(values) < 3:
        return 0.0
    off = [
        abs((before + after) / 2 - value)
        for before, value, after in zip(values, values[1:], values[2:], strict=False)
    ]
    return median(off) / _NORMAL_MEDIAN / math.sqrt(1.5)


def _slope(values: Sequence[float]) -> float:
    """The median slope of an epoch; 0 of fewer than three values."""
    if len(values) < 3:
        return 0.0
    # All pairs of very many epochs would be millions; the last ones tell the pace that counts.
    last = list(enumerate(values))[-_MOST_POINTS:]
    return median((b - a) / (j - i) for (i, a), (j, b) in combinations(last, 2))
