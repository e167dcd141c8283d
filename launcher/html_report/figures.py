"""Numbers as a page shows them: short, with their units."""

import math
from datetime import UTC, datetime

from launcher.columns import duration

UNKNOWN = "\u2013"
"""Stands where there is nothing to show."""


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
    """A duration: exact where it is short, in two units where it is long."""
    if value is None:
        return UNKNOWN
    return f"{value:.3g} s" if abs(value) < 100 else duration(value)


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
