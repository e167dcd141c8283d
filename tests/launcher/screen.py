"""What a terminal shows of what is written to it.

It knows the few control sequences that Perdure has a use for, and refuses every other: a new one has to be
thought of, and tried on real terminals, before users meet it. As most terminals do, it breaks lines anew when
its width changes.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field

_TOKEN = re.compile(
    r"\x1b\[(?P<arguments>[0-9;?]*)(?P<letter>[A-Za-z])|(?P<control>[\x00-\x1f\x7f])|(?P<text>.)"
)
_UNFINISHED = re.compile(r"\x1b(\[[0-9;?]*)?\Z")
_STYLES = {1: "bold", 2: "dim", 3: "italic", 4: "underlined", 7: "reversed"}
_COLOURS = ("black", "red", "green", "yellow", "blue", "magenta", "cyan", "white")
Cell = tuple[str, str]
"""A character and its style."""


@dataclass
class Row:
    """A line of the screen.

    Attributes:
        cells: From the left.
        goes_on: Whether the next line is the rest of this one, which was too long.
    """

    cells: list[Cell] = field(default_factory=list)
    goes_on: bool = False


class Screen:
    """A screen and all that has left it at the top.

    Args:
        columns: Its width.
        rows: Its height.

    Attributes:
        cursor_shown: Whether the cursor can be seen.
        style: How the next character will look; empty as it was at first.
    """

    def __init__(self, columns: int, rows: int) -> None:
        self.columns, self.rows = columns, rows
        self.cursor_shown, self.style = True, ""
        self._lines = [Row()]
        self._at, self._column = 0, 0
        self._rest = ""

    def feed(self, text: str) -> None:
        """Takes what a program writes.

        Raises:
            ValueError: It holds a control sequence that is not known here.
        """
        text = self._rest + text
        unfinished = _UNFINISHED.search(text)
        end = unfinished.start() if unfinished else len(text)
        self._rest = text[end:]
        for token in _TOKEN.finditer(text[:end]):
            if token["text"]:
                self._write(token["text"])
            elif token["control"]:
                self._control(token["control"])
            else:
                self._sequence(token["letter"], token["arguments"])

    def resize(self, columns: int, rows: int) -> None:
        """Changes the size: what was one line before it was broken is broken anew."""
        lines, at, column = [], 0, 0
        whole: list[Cell] = []
        for number, row in enumerate(self._lines):
            if number == self._at:
                at, column = len(lines), len(whole) + self._column
            whole += row.cells
            if row.goes_on:
                continue
            pieces = [whole[start : start + columns] for start in range(0, len(whole), columns)] or [[]]
            if at == len(lines) and self._at <= number:
                below = min(column // columns, len(pieces) - 1)
                at, column = at + below, column - below * columns
            lines += [Row(piece, piece is not pieces[-1]) for piece in pieces]
            whole = []
        self._lines, self._at, self._column = lines, at, column
        self.columns, self.rows = columns, rows

    def text(self) -> str:
        """All lines, those that have left the screen too, without styles."""
        return "\n".join(self._shown(lambda cell, _: cell[0]))

    def styled(self) -> str:
        """The same with styles, as `<green>running</>`."""
        return "\n".join(self._shown(_marked))

    def _shown(self, show: Callable[[Cell, Cell], str]) -> list[str]:
        shown = []
        for row in self._lines:
            cells = [*row.cells, ("", "")]
            while len(cells) > 1 and cells[-2] == (" ", ""):
                del cells[-2]
            before = [("", ""), *cells]
            shown.append("".join(show(cell, last) for cell, last in zip(cells, before, strict=False)))
        while shown and not shown[-1]:
            shown.pop()
        return shown

    def _write(self, character: str) -> None:
        if unicodedata.east_asian_width(character) in "WF" or unicodedata.combining(character):
            raise ValueError(f"{character!r} is not one column wide")
        if self._column == self.columns:
            self._lines[self._at].goes_on = True
            self._down()
            self._column = 0
        cells = self._lines[self._at].cells
        cells += [(" ", "")] * (self._column + 1 - len(cells))
        cells[self._column] = (character, self.style)
        self._column += 1

    def _down(self) -> None:
        self._at += 1
        if self._at == len(self._lines):
            self._lines.append(Row())

    def _control(self, character: str) -> None:
        if character == "\n":
            self._down()
        elif character == "\r":
            self._column = 0
        elif character == "\t":
            self._column = min(self._column // 8 * 8 + 8, self.columns - 1)
        else:
            raise ValueError(f"an unknown control character, {character!r}")

    def _sequence(self, letter: str, arguments: str) -> None:
        match letter, arguments:
            case "A", _:
                top = max(0, len(self._lines) - self.rows)
                self._at = max(top, self._at - int(arguments or 1))
            case "K", "2":
                self._lines[self._at] = Row()
            case (("h" | "l"), "?25"):
                self.cursor_shown = letter == "h"
            case "m", _:
                self._restyle([int(number or 0) for number in arguments.split(";")])
            case _:
                raise ValueError(f"an unknown control sequence, ESC[{arguments}{letter}")

    def _restyle(self, numbers: list[int]) -> None:
        for number in numbers:
            if number == 0:
                self.style = ""
            elif number in _STYLES:
                self.style = f"{self.style} {_STYLES[number]}".strip()
            elif 30 <= number <= 37:
                self.style = f"{self.style} {_COLOURS[number - 30]}".strip()
            else:
                raise ValueError(f"an unknown style, {number}")


def _marked(cell: Cell, before: Cell) -> str:
    (character, style), (_, last) = cell, before
    end = "</>" if last and last != style else ""
    begin = f"<{style}>" if style and last != style else ""
    return f"{end}{begin}{character}"
