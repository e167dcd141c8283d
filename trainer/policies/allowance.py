"""How often something may happen: some at once, and then one every so many seconds."""


class Allowance:
    """A bucket of tokens: each time takes one, and they come back at a steady pace.

    Args:
        most: How many may come at once.
        seconds: After how long another one may.
    """

    def __init__(self, most: int, seconds: float) -> None:
        self._most = float(most)
        self._seconds = seconds
        self._left = self._most
        self._counted_at = float("-inf")

    def take(self, now: float) -> bool:
        """Whether it may happen now; if so, it counts.

        Args:
            now: Monotonic seconds.
        """
        self._left = min(self._most, self._left + (now - self._counted_at) / self._seconds)
        self._counted_at = now
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True
