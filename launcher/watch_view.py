"""A run's status on a terminal, drawn anew at each look, with what happens above it."""

import os
from collections.abc import Callable
from types import TracebackType
from typing import Self, TextIO

from rich.cells import cell_len

from launcher.plain_text import plain
from launcher.run_report import table
from launcher.run_status import RunStatus
from launcher.sparkline import Seen, curves

_BESIDE_CURVES = 24
"""Columns left of the curves, for the names of what is shown."""
_ROW_ERASED = "\r\x1b[2K"
"""Away with what stands in this row, such as a key that was pressed."""
_ROW_ABOVE_ERASED = "\x1b[1A\x1b[2K"
"""Up, and away with what stands there: tmux and others keep a copy of a screen that is erased in one go."""


class WatchView:
    """Shows one run until it ends.

    It is drawn with nothing but "up" and "erase", and never higher than the terminal, so that it can be taken
    away whole. The cursor is not hidden: however the process ends, the terminal is in order.

    Args:
        out: The terminal.
        paint: Gives a text its colours.
        size: The terminal's size now.
    """

    def __init__(
        self, out: TextIO, paint: Callable[[str], str], size: Callable[[], os.terminal_size]
    ) -> None:
        self._out, self._paint, self._size = out, paint, size
        self._drawn: list[str] = []
        self._seen = Seen()

    def __enter__(self) -> Self:
        """Draws when there is something to show."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Takes what is drawn away, unless Ctrl-C asks for no more of it; what was told stays."""
        if kind is not KeyboardInterrupt:
            self._draw("", [])

    def show(self, status: RunStatus) -> None:
        """Draws what the run is doing now, with the curves of what was seen of it."""
        self._seen.look(status.metrics)
        size = self._size()
        shown = table(status, curves(self._seen.history, size.columns - _BESIDE_CURVES))
        self._draw("", _fitting(plain(shown).split("\n"), size))

    def tell(self, line: str) -> None:
        """Tells what was done, above what is drawn."""
        self._draw(f"{plain(line)}\n", self._drawn)

    def _draw(self, above: str, lines: list[str]) -> None:
        # As wide as the terminal is now: it has broken its lines anew if that has changed.
        size = self._size()
        rows = min(sum(_rows(line, size.columns) for line in self._drawn), size.lines - 1)
        text = "".join(f"{line}\n" for line in self._paint("\n".join(lines)).split("\n")) if lines else ""
        erased = _ROW_ERASED + _ROW_ABOVE_ERASED * rows if rows else ""
        # At once, lest it flickers.
        self._out.write(f"{erased}{above}{text}")
        self._out.flush()
        self._drawn = lines


def _fitting(lines: list[str], size: os.terminal_size) -> list[str]:
    """The lines that fit on the terminal above the cursor's; the last says how many do not."""
    left = size.lines - 1
    for number, line in enumerate(lines):
        rows = _rows(line, size.columns)
        # Room for the last line is needed wherever lines follow.
        if rows + (number + 1 < len(lines)) > left:
            return [*lines[:number], f"… {len(lines) - number} more lines"]
        left -= rows
    return lines


def _rows(line: str, columns: int) -> int:
    """How many rows a line takes."""
    return max(1, -(-cell_len(line) // columns))
