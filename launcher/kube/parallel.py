"""Many calls to one API server, some at a time."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TypeVar

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

AT_ONCE = 16
"""Enough to hide the way to a far server, and few of the hundreds of calls that a server serves at once."""


class _NotBegunError(Exception):
    """The call was not made, since another had failed."""


def in_parallel(call: Callable[[_Item], _Result], items: Sequence[_Item]) -> list[_Result]:
    """Makes a call for each item, `AT_ONCE` at a time and in no order; the results are in the items' order.

    Once a call fails, or Ctrl-C comes, none begins any more, and those under way are waited for; of several
    errors that of the first item in order is raised.
    """
    if len(items) < 2:
        return [call(item) for item in items]
    over = threading.Event()

    def begin(item: _Item) -> _Result:
        if over.is_set():
            raise _NotBegunError
        try:
            return call(item)
        except BaseException:
            over.set()
            raise

    with ThreadPoolExecutor(min(AT_ONCE, len(items))) as pool:
        try:
            calls = [pool.submit(begin, item) for item in items]
            wait(calls)
        finally:
            over.set()
    for each in calls:
        if (error := each.exception()) is not None and not isinstance(error, _NotBegunError):
            raise error
    return [each.result() for each in calls]
