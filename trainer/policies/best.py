"""Which versions of a model are the best ones."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from trainer.policies.direction import Direction, improves


@dataclass(frozen=True)
class Version:
    """A model as it was after an epoch.

    Attributes:
        epoch: Zero-based epoch.
        value: The monitored metric after it.
    """

    epoch: int
    value: float


@dataclass(frozen=True)
class BestDecision:
    """What to do with a candidate.

    Attributes:
        kept: The versions to keep, best first.
        is_kept: The candidate is among them.
        is_new_best: The candidate is the first of them.
    """

    kept: tuple[Version, ...]
    is_kept: bool = False
    is_new_best: bool = False


def consider(kept: tuple[Version, ...], candidate: Version, direction: Direction, keep: int) -> BestDecision:
    """Keeps the `keep` best versions; of equal ones the earlier is the better.

    With `keep=1` a version is kept exactly when Keras's ModelCheckpoint with `save_best_only` would save it,
    but for NaN, which is never kept here (there it would stay the best for ever).

    Args:
        kept: The versions kept so far, best first.
        candidate: The version of this epoch.
        direction: The way in which the monitored metric gets better.
        keep: How many to keep, at least 1.
    """
    if math.isnan(candidate.value):
        return BestDecision(kept)
    place = next(
        (i for i, version in enumerate(kept) if improves(candidate.value, version.value, direction)),
        len(kept),
    )
    if place >= keep:
        return BestDecision(kept)
    return BestDecision(
        (*kept[:place], candidate, *kept[place:])[:keep], is_kept=True, is_new_best=place == 0
    )


def best_of(versions: Iterable[Version], direction: Direction, keep: int) -> tuple[Version, ...]:
    """The `keep` best of `versions`, best first, as `consider` would have kept them epoch by epoch."""
    kept: tuple[Version, ...] = ()
    for version in sorted(versions, key=lambda each: each.epoch):
        kept = consider(kept, version, direction, keep).kept
    return kept
