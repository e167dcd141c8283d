"""Findings for people and for programs."""

from collections import Counter
from collections.abc import Mapping, Sequence

from launcher.preflight.code import Severity
from launcher.preflight.finding import Finding, in_order
from trainer.contract import plain_json


def text(findings: Sequence[Finding]) -> str:
    """All findings, the worst first, with their reason and how to put them right."""
    return "\n".join(map(str, in_order(findings)))


def json_text(findings: Sequence[Finding]) -> str:
    """The same as a JSON list."""
    return plain_json.dumps([each.as_data() for each in in_order(findings)], indent=2)


def summary(findings: Sequence[Finding]) -> str:
    """How many there are of each severity, such as `1 error, 2 warnings`; without any, `no finding`."""
    counts = Counter(each.severity for each in findings)
    told = [f"{counts[each]} {each}{'s' if counts[each] > 1 else ''}" for each in Severity if counts[each]]
    return ", ".join(told) or "no finding"


def ignored_text(findings: Sequence[Finding], ignored: Mapping[str, str]) -> str:
    """A line for each code that is ignored: its reason, and whether there was anything to ignore."""
    found = {str(each.code) for each in findings}
    return "\n".join(
        f"ignored {code}: {reason}" if code in found else f"nothing to ignore of {code}"
        for code, reason in ignored.items()
    )
