"""The files of a monitor's best models in a store: written, read back, listed, deleted."""

import contextlib
import os
import tempfile
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from trainer.callbacks.read_back import DamagedFileError, Load, holds
from trainer.callbacks.snapshot import Weights
from trainer.contract.run_directory import best_name, is_best_name
from trainer.policies.best import Version
from trainer.storage import StorageError, open_store


class ReadBackError(Exception):
    """A version was written, and reading it again gave something else.

    Attributes:
        version: Which one.
    """

    def __init__(self, version: Version, message: str) -> None:
        super().__init__(message)
        self.version = version


class _There(NamedTuple):
    data: bytes
    is_this: bool
    """Whether it has the weights that are to be stored."""


class VersionFiles:
    """Files `<url>/<epoch>-<value><suffix>`, epoch counted from 1.

    Args:
        url: The directory; other files in it are left alone.
        suffix: `.keras` or `.weights.h5`.
    """

    def __init__(self, url: str, suffix: str) -> None:
        self.url = url.rstrip("/")
        self.suffix = suffix
        self._store = open_store(url)

    def name(self, version: Version) -> str:
        """File name of a version."""
        return best_name(version.epoch + 1, version.value, self.suffix)

    def url_of(self, version: Version) -> str:
        """Where a version lies."""
        return f"{self.url}/{self.name(version)}"

    def names(self) -> list[str]:
        """Names of all versions that are stored, sorted by epoch."""
        return [name for name in self._store.list(self.url) if is_best_name(name)]

    def exists(self, version: Version) -> bool:
        """Whether a version is stored, whatever is in its file."""
        return self._store.exists(self.url_of(version))

    def write(self, version: Version, make: Callable[[], bytes], weights: Weights, load: Load | None) -> None:
        """Stores a version and reads it back; one that is there with these weights is not written again.

        A file of other weights under the same name was left by a lost attempt, of which the value in the name
        has the same digits. It is replaced, and comes back where the new one is not read back.

        Args:
            version: Which one.
            make: Makes the content of the file.
            weights: What must be in it, arrays in the order of `model.weights`.
            load: Loads the weights of a local file; see `read_back.holds`.

        Raises:
            ReadBackError: What was read is not what was written, or has not these weights. The file is
                gone, or what was there before, if it could be read, is there again.
            StorageError: The store failed.
        """
        url = self.url_of(version)
        there = self._intact(url, weights, load)
        if there is not None and there.is_this:
            return
        data = make()
        self._store.put(url, data)
        why = self._difference(self._store.get(url), data, weights, load)
        if why is not None:
            # A file under this name is one to rely on.
            with contextlib.suppress(StorageError):
                if there is None:
                    self._store.delete(url)
                else:
                    self._store.put(url, there.data)
            message = f"{self.name(version)} was not read back as it was written: {why}"
            raise ReadBackError(version, message)

    def delete(self, names: Iterable[str]) -> None:
        """Deletes versions by their names."""
        for name in names:
            self._store.delete(f"{self.url}/{name}")

    def sweep(self) -> None:
        """Deletes what a killed attempt left half written; it costs space and nothing else."""
        with contextlib.suppress(StorageError):
            self._store.sweep(self.url)

    def _intact(self, url: str, weights: Weights, load: Load | None) -> "_There | None":
        """What a lost attempt left under the name and can be read; warns of what is to be replaced."""
        if not self._store.exists(url):
            return None
        data = self._store.get(url)
        try:
            is_this = holds(data, self.suffix, weights, load)
        except DamagedFileError as error:
            warnings.warn(f"{url} was there already, damaged, and is replaced: {error}", stacklevel=3)
            return None
        if not is_this:
            warnings.warn(
                f"{url} was there already with other weights, of an attempt that was lost, and is replaced",
                stacklevel=3,
            )
        return _There(data, is_this)

    def _difference(self, read: bytes, written: bytes, weights: Weights, load: Load | None) -> str | None:
        if read != written:
            return "its bytes are others"
        try:
            return None if holds(read, self.suffix, weights, load) else "its weights are others"
        except DamagedFileError as error:
            return str(error)


def file_content(save: Callable[[str], None], suffix: str) -> bytes:
    """What `save` writes into the local file that it is given, whose name ends in `suffix`."""
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, f"model{suffix}")
        save(path)
        return Path(path).read_bytes()
