"""When to try again what failed: later each time, not all at once, and not before one was asked to."""

FIRST_SECONDS = 1.0
LONGEST_SECONDS = 300.0


def retry_delay(tries: int, draw: float, retry_after: float | None = None) -> float:
    """How long to wait before the next try, in seconds.

    The pause doubles with every try up to `LONGEST_SECONDS`; half of it is drawn, so that many who failed at
    the same moment do not come back at the same one ("equal jitter" in Brooker, Exponential Backoff And
    Jitter, AWS Architecture Blog 2015).

    Args:
        tries: How many have failed, from 1.
        draw: A number in [0, 1).
        retry_after: Seconds that the other side has asked to wait; longer pauses are not cut short by it.
    """
    # The exponent is bounded first: a power of thousands of tries is no float.
    pause = min(LONGEST_SECONDS, FIRST_SECONDS * 2.0 ** min(tries - 1, 30))
    return max(pause / 2 + pause / 2 * draw, min(retry_after or 0.0, LONGEST_SECONDS))
