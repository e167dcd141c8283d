"""Notices what the hooks of a callback do to files and to the network, by the interpreter's audit events.

Audit hooks (PEP 578) see what Python code opens and connects to, in whatever library. They see nothing of
what C++ code does for itself, such as TensorFlow's summary writers, nor of bytes written to a file that is
open already: of these tells what the kernel has counted as written by the thread (`/proc/thread-self/io`,
proc(5)).
"""

import os
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from trainer.contract.dry_run import BatchAction

_CODE = (".py", ".pyc", ".so")
_KERNEL = ("/proc/", "/sys/", "/dev/")
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_MOST = 5
"""Actions of one hook that are noted by themselves; a file of its own for every batch would fill pages."""

WRITES = "writes to a file that is open already, or prints"


class BatchActions:
    """Notes what is done inside of `inside`, by the same thread, for each callback and hook."""

    def __init__(self) -> None:
        """Adds an audit hook to this process, for good: Python cannot take one away."""
        self._inside = threading.local()
        self._found: dict[tuple[int, str], Counter[str]] = {}
        sys.addaudithook(self._audit)

    @contextmanager
    def inside(self, callback: int, hook: str) -> Iterator[None]:
        """Notes what is done in this block for a hook of the callback of that number."""
        found = self._found.setdefault((callback, hook), Counter())
        before, opened = _bytes_written(), found.total()
        self._inside.found = found
        try:
            yield
        finally:
            self._inside.found = None
            if _bytes_written() > before and found.total() == opened:
                found[WRITES] += 1

    def of(self, callback: int) -> tuple[BatchAction, ...]:
        """What was noted for all hooks of a callback, the most frequent of each hook first."""
        return tuple(
            BatchAction(hook, what, times)
            for (number, hook), found in sorted(self._found.items())
            if number == callback
            for what, times in found.most_common(_MOST)
        )

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        found: Counter[str] | None = getattr(self._inside, "found", None)
        if found is not None and event in _TOLD:
            what = _TOLD[event](arguments)
            if what:
                found[what] += 1


def _opened(arguments: tuple[Any, ...]) -> str:
    path, _, flags = arguments
    if isinstance(path, int):
        return ""
    name = os.fsdecode(path)
    if isinstance(flags, int) and flags & _WRITING:
        return "" if name.startswith(_KERNEL) else f"opens {name} for writing"
    # An import in a hook, or a look at the machine, is nothing that happens in every batch.
    return "" if name.endswith(_CODE) or name.startswith(_KERNEL) else f"opens {name}"


def _host(address: Any) -> str:
    return ":".join(map(str, address[:2])) if isinstance(address, tuple) else str(address)


def _request(arguments: tuple[Any, ...]) -> str:
    connection = arguments[0]
    return f"sends to {getattr(connection, 'host', '?')}:{getattr(connection, 'port', '?')}"


_TOLD: Mapping[str, Callable[[tuple[Any, ...]], str]] = {
    "open": _opened,
    "socket.connect": lambda arguments: f"connects to {_host(arguments[1])}",
    "socket.sendto": lambda arguments: f"sends to {_host(arguments[1])}",
    "socket.getaddrinfo": lambda arguments: f"looks up {arguments[0]}",
    "http.client.send": _request,
    "subprocess.Popen": lambda arguments: f"starts {os.fsdecode(arguments[0])}",
    "sqlite3.connect": lambda arguments: f"opens {arguments[0]} for writing",
}


def _bytes_written() -> int:
    """Bytes that this thread has handed to write(2) so far; 0 where the kernel does not tell."""
    try:
        with open("/proc/thread-self/io", encoding="ascii") as file:
            return next((int(line.split()[1]) for line in file if line.startswith("wchar:")), 0)
    except OSError:
        return 0
