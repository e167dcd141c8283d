"""One agreement of all workers on a place to act at: hold, release, reached, saved. Pure."""

from collections.abc import Collection
from dataclasses import dataclass, field

from trainer.contract.link_messages import Request, Wish
from trainer.contract.messages import Action

ENDING = frozenset({Wish.STOP, Wish.LEAVE})
"""Wishes of somebody who is about to end, and waits for no other attempt."""


@dataclass(frozen=True)
class Wanted:
    """A request, and whose.

    Attributes:
        worker: Who asked.
        request: What for.
        deadline: Seconds of the leader's clock by which it has to be fulfilled.
    """

    worker: int
    request: Request
    deadline: float


@dataclass
class Round:
    """The course of one hold.

    Attributes:
        id: Number within the run of this leader.
        workers: How many take part.
        deadline: When the attempt is ended without a save; None for a save that nobody waits for to end.
        target: Tickets begun when all act; None until all have told theirs.
        action: What all do there; None until then.
        covers: The requests that this round fulfils; decided at the release.
        held: Tickets begun, by worker.
        saved: Workers that have done it.
    """

    id: int
    workers: int
    deadline: float | None = None
    target: int | None = None
    action: Action | None = None
    covers: tuple[Wanted, ...] = ()
    held: dict[int, int] = field(default_factory=dict)
    saved: set[int] = field(default_factory=set)

    def take_held(self, worker: int, begun: int, wanted: Collection[Wanted]) -> bool:
        """Takes a worker's answer; true once all are there, when target and action stand.

        Whatever is wanted by then is merged into this round, the strongest wish decides; what comes later
        waits for the next.
        """
        if self.target is not None:
            return False
        self.held[worker] = begun
        if len(self.held) < self.workers:
            return False
        self.target = max(self.held.values())
        self.covers = tuple(wanted)
        wishes = {each.request.wish for each in wanted}
        self.action = Action.FINISH if Wish.FINISH in wishes else Action.SAVE
        if wishes & ENDING:
            self.action = Action.STOP
        return True

    def take_saved(self, worker: int) -> None:
        """Takes a worker's word that it has acted; before the release there is nothing to act on."""
        if self.target is not None:
            self.saved.add(worker)

    def is_done(self, finished: Collection[int]) -> bool:
        """Whether all have acted; one that trained to its end before has nothing left to save."""
        return self.target is not None and len(self.saved | set(finished)) == self.workers


def deadline_of(wanted: Collection[Wanted], save_seconds: float) -> float | None:
    """When the save must have begun to be in time; None if nobody waits to end."""
    ends = [each.deadline for each in wanted if each.request.wish in ENDING]
    return min(ends) - save_seconds if ends else None


def leaving(wanted: Collection[Wanted]) -> list[int]:
    """The workers that end alone, ascending; none where the whole run is to end."""
    wishes = {each.request.wish for each in wanted}
    return [] if Wish.STOP in wishes else sorted({w.worker for w in wanted if w.request.wish is Wish.LEAVE})
