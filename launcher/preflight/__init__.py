"""What will go wrong with a run is said before a GPU-hour is spent on it.

Checks look at the plan of a run and at the cluster that it is meant for; each yields findings that say what,
where, why it matters and how to fix it. They report what is certain and pass over what they cannot see.
"""

from launcher.preflight.checks import check_cluster, check_experiment
from launcher.preflight.code import Code, Severity
from launcher.preflight.finding import Finding, exit_code, in_order
from launcher.preflight.ignoring import parse_ignored, without
from launcher.preflight.measured import measured
from launcher.preflight.subject import Subject

__all__ = [
    "Code",
    "Finding",
    "Severity",
    "Subject",
    "check_cluster",
    "check_experiment",
    "exit_code",
    "in_order",
    "measured",
    "parse_ignored",
    "without",
]
