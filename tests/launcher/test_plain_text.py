import pytest

from launcher.plain_text import plain


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("two\nlines\tand a tab", "two\nlines\tand a tab"),
        ("größer 日本", "größer 日本"),
        ("\x1b[1mbold\x1b[0m and \x1b[31;1mred\x1b[m", "bold and red"),
        ("\x1b[2Jcleared", "\\x1b[2Jcleared"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("over\rwritten", "over\\x0dwritten"),
        ("\x08\x00\x7f\x9b31m", "\\x08\\x00\\x7f\\x9b31m"),
        ("\u202egnorw", "\\u202egnorw"),
    ],
)
def test_what_could_steer_a_terminal_is_escaped(text: str, shown: str) -> None:
    assert plain(text) == shown
