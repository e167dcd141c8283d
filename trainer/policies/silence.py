"""How long a peer may be silent before it counts as gone: learned from how regularly it was heard. Pure."""

SHORTEST_SECONDS = 2.0
"""With all that follows, a frozen peer's attempt is over within 3 s where no other work delays it."""

LONGEST_SECONDS = 5.0
"""However irregularly it is heard."""

FACTOR = 6.0
"""It may be silent for this many times its longest pause of late."""

MEMORY_SECONDS = 60.0
"""For so long, and at most twice as long, a pause is remembered."""


class SilencePatience:
    """Follows the pauses between what is heard of one peer.

    On a machine with too much to do a living peer is heard late, and the later it has been heard, the later
    it may be heard again; to take it for dead interrupts a run for nothing. Failure detectors of this kind:
    Chen, Toueg, Aguilera, On the Quality of Service of Failure Detectors (2002); Hayashibara et al., The phi
    accrual failure detector (2004).
    """

    def __init__(self) -> None:
        self._since = 0.0
        self._longest = self._longest_before = 0.0

    def heard(self, pause: float, now: float) -> None:
        """Takes a pause that has ended, or one after which the peer was given up: it may come back.

        Args:
            pause: Its seconds.
            now: Monotonic seconds.
        """
        if now - self._since > MEMORY_SECONDS:
            gone = now - self._since > 2 * MEMORY_SECONDS
            self._since, self._longest_before, self._longest = now, 0.0 if gone else self._longest, 0.0
        self._longest = max(self._longest, pause)

    @property
    def limit(self) -> float:
        """Seconds that it may be silent."""
        longest = max(self._longest, self._longest_before)
        return min(max(SHORTEST_SECONDS, FACTOR * longest), LONGEST_SECONDS)
