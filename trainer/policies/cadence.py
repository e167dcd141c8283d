"""When to save: at fixed distances, or as often as failures and the cost of a save make worth it."""

import math
from dataclasses import dataclass

# Nobody knows how often a new run will be ended: once an hour is what a preemptible machine may see.
PRIOR_SECONDS_BETWEEN_FAILURES = 3600.0
# At most this share of the time goes into saving, however often a run fails.
LARGEST_SHARE = 0.02
SHORTEST_SECONDS = 1.0
LONGEST_SECONDS = 900.0
# Before the time of a ticket is known.
FIRST_TICKETS = 20


@dataclass(frozen=True)
class History:
    """What the run has seen so far.

    Attributes:
        trained_seconds: Time of training in all attempts.
        failures: How often something ended an attempt.
    """

    trained_seconds: float = 0.0
    failures: int = 0


def seconds_between_saves(save_seconds: float, history: History) -> float:
    """How long to train between two saves.

    The distance that loses the least time is the square root of twice the cost of a save times the mean time
    between failures (Young 1974; Daly 2006 for its bounds). The mean is estimated with one failure an hour
    assumed beforehand.

    Args:
        save_seconds: How long training stands still for a save.
        history: What the run has seen.
    """
    seen = PRIOR_SECONDS_BETWEEN_FAILURES + history.trained_seconds
    mean_between_failures = seen / (1 + history.failures)
    best = math.sqrt(2 * max(save_seconds, 0.0) * mean_between_failures)
    longest = max(LONGEST_SECONDS, save_seconds / LARGEST_SHARE)
    return min(max(best, save_seconds / LARGEST_SHARE, SHORTEST_SECONDS), longest)


def tickets_until_save(interval_seconds: float, ticket_seconds: float | None) -> int:
    """The distance to the next save in tickets, so that all workers can count it, in validation as well.

    Args:
        interval_seconds: How long to train until then.
        ticket_seconds: Measured mean time of a ticket; None where none was measured yet.
    """
    if ticket_seconds is None or ticket_seconds <= 0:
        return FIRST_TICKETS
    return max(1, round(interval_seconds / ticket_seconds))


def is_multiple_passed(steps: int, saved_at: int, every: int) -> bool:
    """Whether a multiple of `every` lies in saved_at < multiple <= steps."""
    return steps // every > saved_at // every
