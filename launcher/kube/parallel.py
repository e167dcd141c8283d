"""Many calls to one API server, some at a time."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

AT_ONCE = 16
"""Enough to hide the way to a far server, and few of the hundreds of calls that a server serves at once."""


def in_parallel(call: Callable[[_Item], _Result], items: Sequence[_Item]) -> list[_Result]:
    """Makes a call for each item, `AT_ONCE` at a time and in no order; the results are in the items' order.

    Where calls fail, none begins any more, those under way are waited for, and the error of the first item in
    order is raised.
    """
    if len(items) < 2:
        return [call(item) for item in items]
    with ThreadPoolExecutor(min(AT_ONCE, len(items))) as pool:
        calls = [pool.submit(call, item) for item in items]
        try:
            return [each.result() for each in calls]
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
