"""Colours for the states in what the verbs print, for terminals."""

import re

from launcher.reasons import State

_GREEN, _YELLOW, _RED, _DIM, _PLAIN = "\x1b[32m", "\x1b[33m", "\x1b[31m", "\x1b[2m", "\x1b[0m"

_COLOURS = {
    State.RUNNING: _GREEN,
    State.SUCCEEDED: _GREEN,
    State.FAILED: _RED,
    State.STOPPED: _DIM,
    State.DELETING: _DIM,
}

# In a column of its own, or at the beginning of a line; within a sentence it is a word as any other.
_STATE = re.compile(rf"(?m)(^|  )({'|'.join(State)})(?=  | \(|:|$)")
_CHANGE = re.compile(r"(?m)^(\+(?!\+\+ )|-(?!-- )).*$")


def with_states(text: str) -> str:
    """The text with each state in its colour."""
    return _STATE.sub(lambda found: f"{found[1]}{_colour(found[2])}{found[2]}{_PLAIN}", text)


def with_changes(text: str) -> str:
    """A unified diff with what is new in green, and what is gone in red."""
    return _CHANGE.sub(lambda found: f"{_GREEN if found[1] == '+' else _RED}{found[0]}{_PLAIN}", text)


def _colour(state: str) -> str:
    return _COLOURS.get(State(state), _YELLOW)
