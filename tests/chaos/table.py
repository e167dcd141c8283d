"""The table of kills: what each hit, what followed, and why some had no effect."""

import signal

from launcher.restart_log import Restart
from tests.chaos.assault import Aim, Kill
from trainer.policies.silence import LONGEST_SECONDS

UNEXPLAINED = "UNEXPLAINED"

NOTICED_SECONDS = {"training": 3.0, "supervisor": LONGEST_SECONDS + 1.0}
"""Whoever is frozen for so long is noticed; one that wakes before may not be."""

HEADER = (
    f"{'':>3}  {'moment':>8}  {'victim':<24} {'signal':<14} {'its phase':<12} {'aimed at':<10} "
    f"{'back after':>10}  lost"
)

LEGEND = """\
back after  from the interruption to the first new completed step of all workers
lost        training steps that a worker had begun, and that were done again"""


def row(number: int, kill: Kill, steps_per_epoch: int) -> str:
    """One kill in a line."""
    who = f"{kill.role} of {'chief' if kill.worker == 0 else f'worker {kill.worker}'}"
    what = signal.Signals(kill.number).name + (f" {kill.frozen_seconds:.1f} s" if kill.frozen_seconds else "")
    aim = "" if kill.aim is Aim.ANY else kill.aim
    start = f"{number:>3}  {kill.moment:6.1f} s  {who:<24} {what:<14} {kill.phase:<12} {aim:<10}"
    if kill.restart is None:
        return f"{start} no restart: {why_untouched(kill)}"
    return f"{start} {kill.restart.seconds:8.2f} s  {_lost(kill.restart, steps_per_epoch)}"


def why_untouched(kill: Kill) -> str:
    """Why a kill interrupted nothing; `UNEXPLAINED` where it should have."""
    if kill.number == signal.SIGTERM and kill.role != "supervisor":
        return "only supervisors act on SIGTERM"
    if kill.role == "standby":
        return "nobody needed it" if kill.frozen_seconds else "a new standby takes its place"
    if kill.frozen_seconds and kill.frozen_seconds < NOTICED_SECONDS[kill.role]:
        return "it woke before that was noticed"
    if kill.over:
        return "training was over"
    return UNEXPLAINED


def _lost(restart: Restart, steps_per_epoch: int) -> str:
    if restart.begun is None and restart.reached is None:
        # Killed while it was building: no ticket had begun.
        return "0 steps"
    if restart.begun is None or restart.resumed is None:
        return "unknown: no supervisor was left that could look"
    begun, resumed = (place.steps_before(steps_per_epoch) for place in (restart.begun, restart.resumed))
    return f"{max(0, begun - resumed)} steps"
