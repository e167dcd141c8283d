"""Answers of the API server as plain data."""

import gc
import json
from typing import Any

LARGE_BYTES = 1 << 20
"""From so many bytes on the collector is kept away from an answer."""


def decoded(content: bytes) -> Any:
    """Reads JSON, and spares what is large the search for cycles, of which it has none.

    That search would be two thirds of the time for a thousand pods. Several threads may read at once: whoever
    found the collector at work sets it to work again.

    Raises:
        ValueError: It is no JSON.
    """
    if len(content) < LARGE_BYTES:
        return json.loads(content)
    # What is garbage by now is not to grow old below.
    gc.collect(1)
    collects = gc.isenabled()
    gc.disable()
    try:
        return json.loads(content)
    finally:
        # All that is new is old at once: the next collections would only walk through it before.
        gc.freeze()
        gc.unfreeze()
        if collects:
            gc.enable()
