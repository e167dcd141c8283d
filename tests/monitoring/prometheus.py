"""Asks a Prometheus on this machine, as Grafana does."""

from __future__ import annotations

import json
import time
import urllib.parse
import urllib.request
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


def ask(url: str, path: str, **parameters: str) -> Any:
    """The answer's data.

    Args:
        url: Where Prometheus answers.
        path: Below `/api/v1/`.
        parameters: Of the question.
    """
    question = f"{url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
    with urllib.request.urlopen(question, timeout=30) as response:
        return json.load(response)["data"]


def values(url: str, expression: str) -> list[dict[str, Any]]:
    """What an instant query gives."""
    return ask(url, "query", query=expression)["result"]


def until(look: Callable[[], T], what: str, seconds: float = 60.0) -> T:
    """Looks until there is something to see.

    Raises:
        AssertionError: There was nothing in time.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if found := look():
                return found
        except OSError:
            pass
        time.sleep(0.2)
    raise AssertionError(f"not seen within {seconds:g} s: {what}")
