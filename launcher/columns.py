"""Text in columns: a heading and rows below it, or names with what belongs to them."""

from collections.abc import Sequence


def columns(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table, each column as wide as its widest cell; the last may be as long as it likes."""
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in [head, *rows]
    )
    return "\n".join(line.rstrip() for line in lines)


def aligned(rows: Sequence[tuple[str, str]]) -> str:
    """Names, and behind each, in one column, what belongs to it."""
    width = max(len(name) for name, _ in rows) + 2
    return "\n".join(f"{name:<{width}}{text}" for name, text in rows)


def duration(seconds: float) -> str:
    """Seconds as a person says it, in two units at most: 45s, 12m, 3h20m, 2d4h."""
    whole = max(0, round(seconds))
    for unit, size, below, part in (("d", 86_400, "h", 3600), ("h", 3600, "m", 60)):
        if whole >= size:
            rest = whole % size // part
            return f"{whole // size}{unit}" + (f"{rest}{below}" if rest else "")
    return f"{whole // 60}m" if whole >= 120 else f"{whole}s"
