"""The screen that other tests look at."""

import pytest

from tests.launcher.screen import Screen


def test_lines_are_written_over_and_erased() -> None:
    screen = Screen(10, 3)
    screen.feed("one\r\ntwo\r\n\x1b[1ATWO\r\nthree")
    assert screen.text() == "one\nTWO\nthree"
    screen.feed("\r\x1b[2K\x1b[9A!")
    assert screen.text() == "!ne\nTWO"


def test_a_long_line_is_broken_and_what_leaves_the_screen_stays_above() -> None:
    screen = Screen(4, 2)
    screen.feed("abcd\r\nabcdefghij")
    assert screen.text() == "abcd\nabcd\nefgh\nij"
    screen.feed("\r\x1b[9A*")
    assert screen.text() == "abcd\nabcd\n*fgh\nij"


def test_lines_are_broken_anew_where_the_width_changes() -> None:
    screen = Screen(8, 4)
    screen.feed("abcdefgh\r\nabcdefghij")
    screen.resize(4, 4)
    assert screen.text() == "abcd\nefgh\nabcd\nefgh\nij"
    screen.feed("*")
    screen.resize(20, 4)
    assert screen.text() == "abcdefgh\nabcdefghij*"


def test_styles_and_the_cursor_are_seen_also_where_a_sequence_comes_in_pieces() -> None:
    screen = Screen(20, 4)
    for piece in ("a \x1b", "[3", "2mgreen\x1b[0m b \x1b[1;31mred\x1b[0m\x1b[?2", "5l"):
        screen.feed(piece)
    assert screen.styled() == "a <green>green</> b <bold red>red</>"
    assert (screen.cursor_shown, screen.style) == (False, "")


@pytest.mark.parametrize("text", ["\x1b[2J", "\x1b[?1049h", "\x07", "\x1b[38;5;1m", "火"])
def test_what_is_not_known_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"unknown|wide"):
        Screen(20, 4).feed(text)
