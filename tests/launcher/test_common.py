import io
import sys

import pytest

from launcher.commands.common import in_colour


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def painted(text: str) -> str:
    return f"\x1b[31m{text}\x1b[0m"


@pytest.mark.parametrize(
    ("terminal", "variable", "shown"),
    [
        (Terminal(), "", "\x1b[31mred\x1b[0m\n"),
        (Terminal(), "1", "red\n"),
        (io.StringIO(), "", "red\n"),
    ],
)
def test_colour_is_for_terminals_that_want_it(
    terminal: io.StringIO, variable: str, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", variable)
    monkeypatch.setattr(sys, "stdout", terminal)
    in_colour("red", painted)
    assert terminal.getvalue() == shown


def test_what_strangers_wrote_paints_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr(sys, "stdout", terminal)
    in_colour("a\x1b[2Jb", lambda text: text)
    assert terminal.getvalue() == "a\\x1b[2Jb\n"
