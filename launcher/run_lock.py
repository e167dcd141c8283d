"""One `perdure run` at a time for a run: a lock that the system releases when its holder is gone."""

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


class RunBusyError(Exception):
    """Another process trains this run.

    Attributes:
        holder: Which one, as far as it told.
    """

    def __init__(self, holder: str) -> None:
        super().__init__(holder)
        self.holder = holder


@contextmanager
def held(path: str) -> Iterator[None]:
    """Holds the lock at `path`, however this process ends; what it starts does not inherit it.

    Where no lock can be made, as in a folder that cannot be written, there is none: the numbering of attempts
    keeps two leaders apart in any case, this is to spare the first one.

    Args:
        path: A file that exists only for this; its folder is created.

    Raises:
        RunBusyError: Somebody else holds it.
    """
    descriptor = _locked(path)
    try:
        if descriptor is not None:
            # On a full disk the lock holds all the same; it only does not say whose it is.
            with suppress(OSError):
                os.truncate(descriptor, 0)
                os.write(descriptor, f"process {os.getpid()} on {socket.gethostname()}".encode())
        yield
    finally:
        if descriptor is not None:
            with suppress(OSError):
                # Somebody may have taken the file away, and somebody else made a new one.
                if _is_at(descriptor, path):
                    os.unlink(path)
            os.close(descriptor)


def _locked(path: str) -> int | None:
    while True:
        try:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(descriptor, path):
                return descriptor
            # Its holder took the file away between our opening and our locking it.
            os.close(descriptor)
        except BlockingIOError:
            holder = os.read(descriptor, 1000).decode(errors="replace")
            os.close(descriptor)
            raise RunBusyError(holder or "another process") from None
        except OSError:
            os.close(descriptor)
            return None


def _is_at(descriptor: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False
