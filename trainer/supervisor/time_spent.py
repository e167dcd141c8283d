"""What a worker's time goes into, from the first second of its supervisor on. Pure: time is an argument."""

from collections.abc import Mapping
from enum import Enum, auto

from trainer.contract.metric_names import Spent

_Place = tuple[int, int, int]


class _Doing(Enum):
    WAITING = auto()
    STARTING = auto()
    WORKING = auto()


class TimeSpent:
    """Divides time: each second is counted once, as soon as it is known what it was for.

    What a training process does counts once it is completed. So time in which one hangs is in none of the
    sums until its attempt ends; then it has been waiting.

    Args:
        now: Monotonic seconds.
    """

    def __init__(self, now: float) -> None:
        self._doing = _Doing.WAITING
        self._since = now
        self._blocked = 0.0
        self._furthest: _Place | None = None
        self._lost: _Place | None = None
        self._seconds = dict.fromkeys(Spent, 0.0)

    def started(self, furthest: _Place | None, now: float) -> None:
        """An attempt begins here.

        Args:
            furthest: What earlier attempts have completed, as in `AttemptRecord.last`.
            now: Monotonic seconds.
        """
        self.ended(now)
        self._doing = _Doing.STARTING
        self._blocked = 0.0
        known = [place for place in (furthest, self._furthest) if place is not None]
        self._furthest = self._lost = max(known, default=None)

    def completed(self, place: _Place, now: float) -> None:
        """Everything up to a place is done, as `order_of` tells it."""
        if self._doing is _Doing.WAITING:
            return
        if self._doing is _Doing.STARTING:
            self._count(Spent.STARTING, now)
            self._doing = _Doing.WORKING
        else:
            saving = min(self._blocked, now - self._since)
            self._seconds[Spent.SAVING] += saving
            self._since += saving
            is_new = self._lost is None or place > self._lost
            self._count(Spent.USEFUL if is_new else Spent.REPEATED, now)
        self._blocked = 0.0
        self._furthest = place if self._furthest is None else max(self._furthest, place)

    def blocked(self, seconds: float) -> None:
        """A save has let training stand still."""
        self._blocked += seconds

    def ended(self, now: float) -> None:
        """The attempt is over here."""
        self._count(Spent.STARTING if self._doing is _Doing.STARTING else Spent.WAITING, now)
        self._doing = _Doing.WAITING

    def seconds(self, now: float) -> Mapping[Spent, float]:
        """The sums so far."""
        if self._doing is _Doing.WORKING:
            return dict(self._seconds)
        at = Spent.STARTING if self._doing is _Doing.STARTING else Spent.WAITING
        return {**self._seconds, at: self._seconds[at] + now - self._since}

    def _count(self, spent: Spent, now: float) -> None:
        self._seconds[spent] += now - self._since
        self._since = now
