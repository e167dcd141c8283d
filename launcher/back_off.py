"""When a Job in back-off makes its next pod; pure, time is given."""

from collections.abc import Sequence
from datetime import UTC, datetime

from launcher.observed import Job, Pod

FIRST_SECONDS = 10.0
"""Of back-off after the first pod that has ended; doubled with each."""

LONGEST_SECONDS = 600.0
"""Of back-off, however many pods have ended."""


def next_pod(job: Job, pods: Sequence[Pod], now: float) -> str:
    """In words, when the Job makes another pod.

    Its controller counts pods that were deleted, too, of which nothing is left: then only the latest time is
    certain.

    Args:
        job: The Job.
        pods: Its worker's pods that are there.
        now: Seconds since 1970.
    """
    ended = [pod for pod in pods if pod.job_uid == job.uid and not pod.live and pod.exit is not None]
    last = max((pod.exit.finished for pod in ended if pod.exit is not None), default=0.0)
    if not last:
        return "within 10 minutes"
    soonest = last + min(LONGEST_SECONDS, FIRST_SECONDS * 2.0 ** (len(ended) - 1))
    return f"at {_clock(soonest)}" if now < soonest else f"by {_clock(last + LONGEST_SECONDS)} at the latest"


def _clock(time: float) -> str:
    return datetime.fromtimestamp(time, UTC).strftime("%H:%M:%S UTC")
