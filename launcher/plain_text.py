"""Text of strangers as a terminal may show it: what could move its cursor or change its state is escaped."""

import re

# Colours and weights; Keras puts them into its messages.
_STYLES = re.compile(r"\x1b\[[0-9;]*m")
# C0 without tab and newline, delete, C1, and what reverses or isolates the direction of writing.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def plain(text: str) -> str:
    """The text without styles, and with every other control character but tab and newline escaped."""
    return _CONTROLS.sub(_escaped, _STYLES.sub("", text))


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
