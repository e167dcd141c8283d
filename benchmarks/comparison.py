"""Alternating pairs, and what is made of them."""

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from benchmarks.workloads import Timing

_T = TypeVar("_T")


@dataclass(frozen=True)
class Comparison:
    """One figure beside its yardstick, measured in pairs.

    Attributes:
        figure: What was measured.
        ours: Seconds, one per pair.
        yardstick: What it was measured beside.
        theirs: Seconds, one per pair.
        target: The ratio that is not to be exceeded, or None where there is no such promise.
        limit_seconds: What our median is to stay under, or None.
    """

    figure: str
    ours: tuple[float, ...]
    yardstick: str
    theirs: tuple[float, ...]
    target: float | None = None
    limit_seconds: float | None = None

    @classmethod
    def load(cls, value: Mapping[str, Any]) -> "Comparison":
        """Reads what `asdict` made and JSON kept."""
        return cls(**{**value, "ours": tuple(value["ours"]), "theirs": tuple(value["theirs"])})

    @property
    def ratios(self) -> tuple[float, ...]:
        """Ours over theirs, pair by pair."""
        return tuple(ours / theirs for ours, theirs in zip(self.ours, self.theirs, strict=True))

    @property
    def ratio(self) -> float:
        """The median of the pairs' ratios."""
        return statistics.median(self.ratios)

    @property
    def our_median(self) -> float:
        """The median of our side, in seconds."""
        return statistics.median(self.ours)

    @property
    def their_median(self) -> float:
        """The median of the yardstick, in seconds."""
        return statistics.median(self.theirs)

    @property
    def spread(self) -> tuple[float, float]:
        """First and third quartile of the pairs' ratios; smallest and largest of fewer than four."""
        if len(self.ratios) < 4:
            return min(self.ratios), max(self.ratios)
        quartiles = statistics.quantiles(self.ratios, n=4, method="inclusive")
        return quartiles[0], quartiles[2]

    @property
    def is_met(self) -> bool:
        """Whether target and limit are kept."""
        return (self.target is None or self.ratio <= self.target) and (
            self.limit_seconds is None or self.our_median < self.limit_seconds
        )

    @property
    def promise(self) -> str:
        """What is to be kept, in words; empty where nothing is."""
        ratio = [] if self.target is None else [f"at most {self.target:.2f}x"]
        limit = [] if self.limit_seconds is None else [f"under {self.limit_seconds} s"]
        return ", ".join(ratio + limit)


def alternating(pairs: int, ours: Callable[[], _T], theirs: Callable[[], _T]) -> Iterator[tuple[_T, _T]]:
    """Runs both sides in turn, and swaps who goes first from pair to pair, so that drift cancels out."""
    for pair in range(pairs):
        if pair % 2 == 0:
            mine = ours()
            yield mine, theirs()
        else:
            yours = theirs()
            yield ours(), yours


def of_timings(
    figure: str, yardstick: str, pairs: Sequence[tuple[Timing, Timing]], target: float | None = None
) -> list[Comparison]:
    """An epoch and a whole fit beside their yardstick; the target is the epoch's."""
    ours, theirs = zip(*pairs, strict=True)
    return [
        Comparison(
            f"epoch, {figure}",
            tuple(t.epoch_seconds for t in ours),
            yardstick,
            tuple(t.epoch_seconds for t in theirs),
            target,
        ),
        Comparison(
            f"whole fit, {figure}",
            tuple(t.whole_seconds for t in ours),
            yardstick,
            tuple(t.whole_seconds for t in theirs),
        ),
    ]
