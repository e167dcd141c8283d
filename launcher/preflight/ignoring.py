"""Findings that a user has decided to live with, each with the reason that is recorded with the run."""

from collections.abc import Iterable, Mapping, Sequence

from launcher.preflight.code import Code
from launcher.preflight.finding import Finding

NOT_IGNORABLE = frozenset(
    {
        Code.STORAGE_IN_CONTAINER,
        Code.WEIGHTS_LEFT_BEHIND,
        Code.CODE_TOO_LARGE,
        Code.TEMPLATE_REFUSED,
        Code.SERVER_TOO_OLD,
    }
)
"""What rendering and submitting refuse by themselves, whatever preflight thinks of it."""


def parse_ignored(given: Sequence[str]) -> dict[str, str]:
    """Reads `CODE=REASON` of the command line.

    Returns:
        The reason by code.

    Raises:
        ValueError: One is no code, has no reason, or cannot be ignored; the message says which.
    """
    reasons: dict[str, str] = {}
    for each in given:
        name, _, reason = each.partition("=")
        if name not in set(Code):
            raise ValueError(f"no code of a finding, received {name!r}; docs/preflight.md lists them")
        if Code(name) in NOT_IGNORABLE:
            raise ValueError(f"{name} cannot be ignored: no run can be made of it")
        if not reason.strip():
            raise ValueError(f"{name} is ignored only with a reason, such as {name}='a reason'")
        if not reason.strip().isprintable():
            raise ValueError(f"{name} needs a reason of one line of text, received {reason!r}")
        reasons[name] = reason.strip()
    return reasons


def without(findings: Iterable[Finding], ignored: Mapping[str, str]) -> list[Finding]:
    """The findings that are not ignored."""
    return [each for each in findings if each.code not in ignored]
