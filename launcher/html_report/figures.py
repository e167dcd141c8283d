"""Numbers as a page shows them: short, with their units."""

import math
from datetime import UTC, datetime
from itertools import pairwise

UNKNOWN = "\u2013"
"""Stands where there is nothing to show."""

_UNITS = (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1))


def number(value: float | None) -> str:
    """A number with four significant digits; what is no number by its name."""
    if value is None:
        return UNKNOWN
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    if value == int(value) and abs(value) < 1e6:
        return f"{int(value):,}"
    return f"{value:,.0f}" if 1e4 <= abs(value) < 1e9 else f"{value:.4g}"


def seconds(value: float | None) -> str:
    """A duration: three digits where it is short, two units where it is long."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    if value < 99.5:
        return f"{value:.3g} s"
    whole = round(value)
    for (unit, size), (part, smaller) in pairwise(_UNITS):
        if whole >= size:
            rest = whole % size // smaller
            return f"{whole // size:,} {unit}" + (f" {rest} {part}" if rest else "")
    return f"{whole} s"


def share(value: float | None) -> str:
    """A share of one, in percent."""
    return UNKNOWN if value is None else f"{100 * value:.1f} %"


def moment(value: float | None) -> str:
    """Seconds since 1970 as a date and a time of day."""
    if value is None:
        return UNKNOWN
    try:
        return datetime.fromtimestamp(value, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (ValueError, OverflowError, OSError):
        return number(value)
