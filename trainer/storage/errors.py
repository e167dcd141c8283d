"""What can go wrong with a store: errors of its own, each naming the URL and chained to its cause."""

import errno


class StorageError(Exception):
    """An operation on a store failed.

    Attributes:
        url: The object or prefix that it was about.
    """

    def __init__(self, url: str, message: str) -> None:
        super().__init__(f"{url}: {message}")
        self.url = url


class NotFoundError(StorageError):
    """The object does not exist."""


class AlreadyExistsError(StorageError):
    """A create-only write met an object that exists."""


class PermissionDeniedError(StorageError):
    """The store forbids the operation, or is read-only."""


class StoreFullError(StorageError):
    """No space, or the quota is used up."""


class UnsupportedStoreError(StorageError):
    """No implementation for this kind of URL, or the file system lacks what is needed."""


_BY_ERRNO: dict[int, tuple[type[StorageError], str]] = {
    errno.ENOENT: (NotFoundError, "does not exist"),
    errno.EEXIST: (AlreadyExistsError, "exists already"),
    errno.EACCES: (PermissionDeniedError, "permission denied"),
    errno.EPERM: (PermissionDeniedError, "operation not permitted"),
    errno.EROFS: (PermissionDeniedError, "the file system is read-only"),
    errno.ENOSPC: (StoreFullError, "no space left"),
    errno.EDQUOT: (StoreFullError, "the quota is used up"),
}

# fsspec raises these without an errno.
_BY_TYPE: tuple[tuple[type[OSError], int], ...] = (
    (FileNotFoundError, errno.ENOENT),
    (FileExistsError, errno.EEXIST),
    (PermissionError, errno.EACCES),
)


def translate(error: OSError, url: str) -> StorageError:
    """The storage error that stands for `error` at `url`; raise it `from` the original."""
    number = error.errno
    if number is None:
        number = next((code for kind, code in _BY_TYPE if isinstance(error, kind)), None)
    if number in _BY_ERRNO:
        kind, message = _BY_ERRNO[number]
        return kind(url, message)
    return StorageError(url, str(error) or type(error).__name__)
