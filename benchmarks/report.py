"""From measured sections to the tables of README.md."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.comparison import Comparison

_FOLDER = Path(__file__).parent
README = _FOLDER / "README.md"
RESULTS = _FOLDER / "results.json"
BEGIN, END = "<!-- results: begin -->", "<!-- results: end -->"


@dataclass(frozen=True)
class Section:
    """One benchmark's results.

    Attributes:
        title: Its heading.
        command: What was typed.
        measured: Date, load of the machine before it, machine and versions, by name.
        comparisons: Figures beside their yardsticks.
        tables: Further tables, each a list of rows; the first row is the heading.
        notes: Sentences below.
        profile: Where the time went, when a target was missed.
    """

    title: str
    command: str
    measured: Mapping[str, str]
    comparisons: Sequence[Comparison] = ()
    tables: Sequence[Sequence[Sequence[str]]] = ()
    notes: Sequence[str] = ()
    profile: str = ""

    @classmethod
    def load(cls, value: Mapping[str, Any]) -> "Section":
        """Reads what `asdict` made and JSON kept."""
        return cls(**{**value, "comparisons": list(map(Comparison.load, value["comparisons"]))})


@dataclass
class Results:
    """All sections by name, kept in results.json so that one can be measured anew without the others."""

    sections: dict[str, Section] = field(default_factory=dict)

    @classmethod
    def read(cls) -> "Results":
        """What was measured before."""
        if not RESULTS.exists():
            return cls()
        stored = json.loads(RESULTS.read_text())
        return cls({name: Section.load(section) for name, section in stored.items()})

    def write(self, order: Sequence[str]) -> None:
        """Stores all sections and renders them into README.md."""
        self.sections = {name: self.sections[name] for name in order if name in self.sections}
        stored = {name: asdict(section) for name, section in self.sections.items()}
        RESULTS.write_text(json.dumps(stored, indent=1) + "\n")
        text = README.read_text()
        before, _, rest = text.partition(BEGIN)
        _, _, after = rest.partition(END)
        rendered = "\n\n".join(render(section) for section in self.sections.values())
        README.write_text(f"{before}{BEGIN}\n\n{rendered}\n\n{END}{after}")


def render(section: Section) -> str:
    """A section as Markdown."""
    measured = "; ".join(f"{name}: {value}" for name, value in section.measured.items())
    parts = [f"### {section.title}", f"`{section.command}` — {measured}"]
    if section.comparisons:
        heading = ("Figure", "Ours", "Yardstick", "Theirs", "Ratio", "Quartiles", "Pairs", "Target")
        parts.append(_table([heading, *map(_row, section.comparisons)]))
    parts += [_table(rows) for rows in section.tables]
    if section.notes:
        parts.append("\n".join(f"- {note}" for note in section.notes))
    if section.profile:
        parts.append(f"Where the time goes:\n\n```text\n{section.profile.rstrip()}\n```")
    return "\n\n".join(parts)


def _row(comparison: Comparison) -> tuple[str, ...]:
    low, high = comparison.spread
    verdict = "met" if comparison.is_met else "**missed**"
    promise = comparison.promise
    return (
        comparison.figure,
        duration(comparison.our_median),
        comparison.yardstick,
        duration(comparison.their_median),
        f"**{comparison.ratio:.3f}**",
        f"{low:.3f} to {high:.3f}",
        str(len(comparison.ratios)),
        f"{promise}: {verdict}" if promise else "none",
    )


def duration(seconds: float) -> str:
    """Seconds as people read them."""
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1e3:.3g} ms"


def _table(rows: Sequence[Sequence[str]]) -> str:
    heading, *body = rows
    lines = [heading, ["---"] * len(heading), *body]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
