"""The files of a monitor's best models in a store: written, read back, listed, deleted."""

import contextlib
import os
import tempfile
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path

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
        """Stores a version and reads it back; one that is there and can be read is not written again.

        Args:
            version: Which one.
            make: Makes the content of the file.
            weights: What must be in it, arrays in the order of `model.weights`.
            load: Loads the weights of a local file; see `read_back.holds`.

        Raises:
            ReadBackError: What was read is not what was written, or has not these weights. The file is gone.
            StorageError: The store failed.
        """
        if self._is_usable(version, weights, load):
            return
        url, data = self.url_of(version), make()
        self._store.put(url, data)
        why = self._difference(self._store.get(url), data, weights, load)
        if why is not None:
            # A file under this name is one to rely on.
            with contextlib.suppress(StorageError):
                self._store.delete(url)
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

    def _is_usable(self, version: Version, weights: Weights, load: Load | None) -> bool:
        # After a restart the same epoch may be stored already; a stored version is never overwritten, unless
        # it is of no use to anybody.
        url = self.url_of(version)
        if not self._store.exists(url):
            return False
        try:
            holds(self._store.get(url), self.suffix, weights, load)
        except DamagedFileError as error:
            warnings.warn(f"{url} was there already, damaged, and is replaced: {error}", stacklevel=2)
            return False
        return True

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
