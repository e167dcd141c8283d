"""One thing that preflight found, told so that it can be put right without a second look."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from launcher.experiment_error import KeyPath, escaped, key_text
from launcher.experiment_source import Source
from launcher.preflight.code import ABOUT, Code, Severity, link
from trainer.contract.exit_codes import ExitCode


@dataclass(frozen=True)
class Finding:
    """One finding.

    Attributes:
        code: What kind it is.
        severity: How bad it is.
        what: What was found.
        why: Why it matters.
        fix: How to put it right.
        file: The experiment file, or "from --set"; None where it concerns the cluster alone.
        line: Line in the file, from 1; None where there is none.
        key: Path of the key; "" where there is none.
        link: Where the documentation tells of it.
    """

    code: Code
    severity: Severity
    what: str
    why: str
    fix: str
    file: str | None = None
    line: int | None = None
    key: str = ""
    link: str = ""

    def __str__(self) -> str:
        place = self.file or "cluster"
        if self.line is not None:
            place = f"{place}:{self.line}"
        told = f"{self.key}: {self.what}" if self.key else self.what
        return (
            f"{place}: {self.severity}: {told} [{self.code}]\n"
            f"    why: {self.why}\n    fix: {self.fix}\n    see: {self.link}"
        )

    def as_data(self) -> dict[str, Any]:
        """The finding as plain values."""
        return asdict(self)


def of_experiment(
    source: Source, code: Code, key: KeyPath, what: str, *, severity: Severity | None = None
) -> Finding:
    """A finding at a key of the experiment file.

    Args:
        source: The experiment's values and their places.
        code: What kind it is.
        key: Path of the key; where the file leaves it out, its place is that of what it is missing in.
        what: What was found.
        severity: How bad it is, where that is not as for all of this code.
    """
    about, place = ABOUT[code], source.place(key)
    return Finding(
        code, severity or about.severity, escaped(what), about.why, about.fix,
        place.file, place.line, key_text(key), link(code),
    )  # fmt: skip


def of_cluster(code: Code, what: str, *, severity: Severity | None = None) -> Finding:
    """A finding that no key of an experiment file causes."""
    about = ABOUT[code]
    return Finding(code, severity or about.severity, what, about.why, about.fix, link=link(code))


def in_order(findings: Iterable[Finding]) -> list[Finding]:
    """Errors first; of one severity in the order of the file, the cluster's last."""
    ranks = {severity: rank for rank, severity in enumerate(Severity)}
    return sorted(
        findings,
        key=lambda each: (ranks[each.severity], each.file is None, each.line or 0),
    )


def exit_code(findings: Iterable[Finding]) -> ExitCode:
    """What a command ends with: 0 without errors, 77 where only permissions are missing, else 64."""
    errors = {each.code for each in findings if each.severity is Severity.ERROR}
    if not errors:
        return ExitCode.OK
    return ExitCode.NO_PERMISSION if errors == {Code.PERMISSION_MISSING} else ExitCode.USAGE
