"""Whole objects at URLs: the narrow protocol, and its implementation over fsspec.

Nothing here relies on renaming or appending, since object stores have neither; what a local disk needs for an
atomic write stays inside `LocalStore`.
"""

import contextlib
import errno
import os
import uuid
from collections.abc import Iterable, Iterator
from typing import Any, Protocol
from urllib.parse import urlsplit

import fsspec

from trainer.storage.errors import UnsupportedStoreError, translate

Buffer = bytes | memoryview

_TEMPORARY_PREFIX = ".perdure-"
_OURS = f"{_TEMPORARY_PREFIX}{uuid.uuid4().hex[:8]}-"
"""Begins the names of what this very process is writing."""
_TEMPORARY_SUFFIX = ".tmp"


class Store(Protocol):
    """Whole objects at string URLs. Every method raises `StorageError`, or the subclass that fits."""

    def put(self, url: str, data: bytes) -> None:
        """Writes the whole object, in place of an older one; readers see the old or the new, never a mix."""

    def create(self, url: str, data: bytes) -> None:
        """Writes the whole object only where none exists.

        Raises:
            AlreadyExistsError: If it exists, whoever created it; exactly one of several creators succeeds.
        """

    def put_pieces(self, url: str, pieces: Iterable[Buffer]) -> None:
        """Writes the whole object from its pieces, one after the other, as `put` does.

        What `pieces` raises ends the write, and leaves an older object as it was.
        """

    def get(self, url: str) -> bytes:
        """Reads the whole object.

        Raises:
            NotFoundError: If it does not exist.
        """

    def children(self, url: str) -> list[str]:
        """Names of objects and prefixes directly below the prefix, sorted; empty directories too."""

    def list(self, url: str) -> list[str]:
        """Paths of all objects below the prefix, relative to it, sorted; empty where there is none."""

    def exists(self, url: str) -> bool:
        """Tells whether there is an object at the URL (a prefix is none)."""

    def delete(self, url: str) -> None:
        """Deletes the object; one that does not exist is no error."""

    def delete_all(self, url: str) -> None:
        """Deletes all objects below the prefix, in the order of `list`, and an empty directory itself."""

    def sweep(self, url: str) -> None:
        """Deletes what killed writers left half written directly below the prefix; no listing shows it.

        Not where another process writes: what it is writing would go too.
        """


def open_store(url: str) -> Store:
    """The store that serves `url`: a path or `file://` URL, or `memory://` (one per process, for tests).

    Raises:
        UnsupportedStoreError: For any other scheme.
    """
    scheme = urlsplit(url).scheme if "://" in url else "file"
    if scheme == "file":
        return LocalStore()
    if scheme == "memory":
        return FsspecStore("memory")
    raise UnsupportedStoreError(url, f"no store for `{scheme}://`; use a path, `file://` or `memory://`")


@contextlib.contextmanager
def _translated(url: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise translate(error, url) from error


class FsspecStore:
    """A store over an fsspec file system whose single-object writes are atomic."""

    def __init__(self, protocol: str, **options: Any) -> None:
        """Opens the file system of fsspec's `protocol` with its `options`."""
        # A cached listing would hide what another worker or an earlier attempt wrote.
        self._fs = fsspec.filesystem(protocol, use_listings_cache=False, **options)

    def put(self, url: str, data: bytes) -> None:
        """See `Store.put`."""
        with _translated(url):
            self._fs.pipe_file(self._path(url), data)

    def create(self, url: str, data: bytes) -> None:
        """See `Store.create`."""
        with _translated(url):
            self._fs.pipe_file(self._path(url), data, mode="create")

    def put_pieces(self, url: str, pieces: Iterable[Buffer]) -> None:
        """See `Store.put_pieces`; the pieces are joined in memory."""
        self.put(url, b"".join(pieces))

    def get(self, url: str) -> bytes:
        """See `Store.get`."""
        with _translated(url):
            return bytes(self._fs.cat_file(self._path(url)))

    def children(self, url: str) -> list[str]:
        """See `Store.children`."""
        found = self._directly_below(url)
        return sorted(path.rstrip("/").rsplit("/", 1)[-1] for path in found if not _is_temporary(path))

    def list(self, url: str) -> list[str]:
        """See `Store.list`."""
        prefix = self._path(url).rstrip("/") + "/"
        with _translated(url):
            found = [str(path) for path in self._fs.find(prefix)]
        return sorted(path.removeprefix(prefix) for path in found if not _is_temporary(path))

    def exists(self, url: str) -> bool:
        """See `Store.exists`."""
        with _translated(url):
            return bool(self._fs.isfile(self._path(url)))

    def delete(self, url: str) -> None:
        """See `Store.delete`."""
        try:
            self._fs.rm_file(self._path(url))
        except FileNotFoundError:
            return
        except OSError as error:
            raise translate(error, url) from error

    def delete_all(self, url: str) -> None:
        """See `Store.delete_all`."""
        for path in self.list(url):
            self.delete(f"{url}/{path}")
        with _translated(url), contextlib.suppress(FileNotFoundError):
            # Also what a killed writer left behind, and the directory, where the store has directories.
            self._fs.rm(self._path(url), recursive=True)

    def sweep(self, url: str) -> None:
        """See `Store.sweep`."""
        for path in self._directly_below(url):
            if _is_temporary(path) and not path.rsplit("/", 1)[-1].startswith(_OURS):
                self.delete(path)

    def _directly_below(self, url: str) -> Iterable[str]:
        try:
            return map(str, self._fs.ls(self._path(url), detail=False))
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise translate(error, url) from error

    def _path(self, url: str) -> str:
        return str(self._fs._strip_protocol(url))  # fsspec documents it for implementations and callers


class LocalStore(FsspecStore):
    """A store on a local or mounted file system: bare paths and `file://` URLs."""

    def __init__(self) -> None:
        """Opens the local file system."""
        super().__init__("file")

    def put(self, url: str, data: bytes) -> None:
        """Writes a temporary file beside the object, syncs it, and moves it into place."""
        self.put_pieces(url, (data,))

    def put_pieces(self, url: str, pieces: Iterable[Buffer]) -> None:
        """As `put`, from pieces that are never joined in memory."""
        with _translated(url):
            path = self._path(url)
            temporary = _write_temporary(path, pieces)
            try:
                os.replace(temporary, path)
            except OSError:
                os.unlink(temporary)
                raise

    def create(self, url: str, data: bytes) -> None:
        """Links a complete temporary file to the name: the link fails where the name is taken.

        Raises:
            AlreadyExistsError: If it exists.
            UnsupportedStoreError: If the file system has no hard links.
        """
        with _translated(url):
            path = self._path(url)
            temporary = _write_temporary(path, (data,))
            try:
                os.link(temporary, path)
            except OSError as error:
                if error.errno in (errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK):
                    raise UnsupportedStoreError(url, "this file system has no hard links") from error
                raise
            finally:
                os.unlink(temporary)
            _sync_directory(os.path.dirname(path))


def _write_temporary(path: str, pieces: Iterable[Buffer]) -> str:
    """Writes `pieces`, synced, to a new file in the directory of `path`, and returns its name.

    Its name shows nothing of the object's, so that no reader that goes by names takes it for one.
    """
    directory = os.path.dirname(path)
    temporary = os.path.join(directory, f"{_OURS}{uuid.uuid4().hex}{_TEMPORARY_SUFFIX}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    except FileNotFoundError:
        os.makedirs(directory, exist_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        with open(descriptor, "wb") as file:
            file.writelines(pieces)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        os.unlink(temporary)
        raise
    return temporary


def _sync_directory(directory: str) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _is_temporary(path: str) -> bool:
    name = path.rsplit("/", 1)[-1]
    return name.startswith(_TEMPORARY_PREFIX) and name.endswith(_TEMPORARY_SUFFIX)
