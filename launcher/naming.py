"""Names of runs."""

import re
from datetime import datetime

LIMIT = 48
"""Longest name of a run: with `-worker-<index>` behind it, it still fits the 63 characters of a DNS label."""

_VALID = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
_TIME = "%Y%m%d-%H%M%S"


def run_name(experiment: str, now: datetime, suffix: str) -> str:
    """Names a run `<experiment>-<time>-<suffix>`, its first part cut where the whole would be too long.

    Args:
        experiment: Name of the experiment.
        now: When the run begins.
        suffix: A few random characters, so that two runs of one second differ.
    """
    tail = f"-{now.strftime(_TIME)}-{suffix}"
    head = re.sub(r"[^a-z0-9-]+", "-", experiment.lower())[: LIMIT - len(tail)].strip("-")
    return (head or "run") + tail


def check_run_name(name: str) -> None:
    """Refuses a name that could not be a directory, a label or a host name.

    Raises:
        ValueError: The name is too long, or has other characters than lower-case letters, digits and hyphens.
    """
    if len(name) > LIMIT or not _VALID.fullmatch(name):
        raise ValueError(
            f"a run's name is at most {LIMIT} lower-case letters, digits and hyphens, "
            f"with no hyphen at its ends; received {name!r}"
        )
