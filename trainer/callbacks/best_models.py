"""Stores the best models by a metric, each under a name of its own."""
# ruff: noqa: ARG002  # Keras fixes what the hooks are given

import contextlib
import os
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from trainer.callbacks.base import MonitoringCallback
from trainer.callbacks.shadow_model import KERAS_SUFFIX, WEIGHTS_SUFFIX, ShadowModel, save_model
from trainer.callbacks.snapshot import Snapshots, Weights
from trainer.contract.run_directory import best_name, is_best_name
from trainer.policies.best import Version, consider
from trainer.policies.retention import to_prune
from trainer.storage import BackgroundWriter, StorageError, open_store


class BestModels(MonitoringCallback):
    """Keeps the `keep` best models as `<url>/<epoch>-<value>.keras`, epoch counted from 1.

    A stored version is never overwritten. Files are written in the background from a copy of the weights, and
    only when there is time for it; a version that is no longer among the best by then is not written at all.
    A model that cannot be cloned (a subclassed one) is written at once, on the training thread.

    Args:
        url: Directory of this monitor's versions.
        monitor: Name of the metric in the epoch's logs.
        mode: `auto`, `min` or `max`.
        keep: How many versions to keep.
        weights_only: Whether to store `.weights.h5` files in place of `.keras`.
        writer: Shared with other callbacks.
        snapshots: Shared with other callbacks, so that the weights are copied once per epoch.

    Raises:
        ValueError: If `mode` is none of the three, or `keep` is below 1.
    """

    chief_only = True

    def __init__(
        self,
        url: str,
        monitor: str = "val_loss",
        mode: str = "auto",
        keep: int = 1,
        weights_only: bool = False,
        *,
        writer: BackgroundWriter | None = None,
        snapshots: Snapshots | None = None,
    ) -> None:
        super().__init__(monitor, mode)
        if keep < 1:
            raise ValueError(f"keep must be at least 1; received {keep}")
        self.url = url.rstrip("/")
        self.keep = keep
        self.suffix = WEIGHTS_SUFFIX if weights_only else KERAS_SUFFIX
        self._store = open_store(url)
        self._writer = writer if writer is not None else BackgroundWriter()
        self._snapshots = snapshots if snapshots is not None else Snapshots()
        self._shadow: ShadowModel | None = None
        self._is_cloned = False
        # Guards what the writer's thread reads: the versions kept, and the weights not yet written.
        self._lock = threading.Lock()
        self._kept: tuple[Version, ...] = ()
        self._pending: dict[Version, Weights] = {}
        self._is_swept = False

    @property
    def kept(self) -> tuple[Version, ...]:
        """The versions kept, best first."""
        return self._kept

    def url_of(self, version: Version) -> str:
        """Where a version lies."""
        return f"{self.url}/{self._name(version)}"

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Starts afresh; versions of an earlier training in the same place are pruned in time."""
        self._warned = False
        self._snapshots.drop()
        with self._lock:
            self._kept, self._pending = (), {}
        self._shadow, self._is_cloned, self._is_swept = None, False, False

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Drops the shared copy of the weights, which are about to change."""
        self._snapshots.drop()

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Decides, and hands a version that is to be kept to the writer."""
        direction = self.direction()
        value = self.monitored(logs)
        if value is None:
            return
        version = Version(epoch, value)
        decision = consider(self._kept, version, direction, self.keep)
        if not decision.is_kept:
            return
        weights = self._snapshots.take(self.model, epoch)
        with self._lock:
            self._kept = decision.kept
            self._pending[version] = weights
            self._pending = {kept: self._pending[kept] for kept in decision.kept if kept in self._pending}
        self._submit()

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Writes what is pending.

        Raises:
            StorageError: If a version that is to be kept could not be written.
        """
        failures = [failure for failure in self._writer.flush() if failure.key == self.url]
        for failure in failures:
            raise StorageError(self.url, "a best model could not be stored") from failure.error

    def state(self) -> dict[str, Any]:
        """The versions kept, and under `pending` the arrays of those that are not stored yet."""
        with self._lock:
            return {
                "kept": [{"epoch": v.epoch, "value": v.value} for v in self._kept],
                "pending": {str(v.epoch): list(weights) for v, weights in self._pending.items()},
            }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on from what `state` returned, and writes what was pending then."""
        kept = tuple(Version(int(v["epoch"]), float(v["value"])) for v in state["kept"])
        pending = state["pending"]
        with self._lock:
            self._kept = kept
            self._pending = {
                v: tuple(np.asarray(a) for a in pending[str(v.epoch)])
                for v in kept
                if str(v.epoch) in pending
            }
        self._submit()

    def _submit(self) -> None:
        # Not when training begins: one that goes on from a checkpoint has no time for it then.
        if self._pending and not self._is_cloned:
            self._shadow, self._is_cloned = ShadowModel.of(self.model), True
        if self._shadow is None and self._pending:
            self._write_live()
        self._writer.submit(self.url, self._write_pending, paced=True)

    def _write_pending(self) -> None:
        """Writes what is kept and not stored, best first, then prunes; on the writer's thread."""
        shadow = self._shadow
        while shadow is not None:
            with self._lock:
                item = next(iter(self._pending.items()), None)
            if item is None:
                break
            version, weights = item
            self._put(version, lambda path, weights=weights: shadow.save(path, weights))
        self._prune()

    def _write_live(self) -> None:
        for version in list(self._pending):
            self._put(version, lambda path: save_model(self.model, path))

    def _put(self, version: Version, save: Any) -> None:
        url = self.url_of(version)
        # After a restart the same epoch may be stored already; a stored version is never overwritten.
        if not self._store.exists(url):
            with tempfile.TemporaryDirectory() as directory:
                path = os.path.join(directory, f"model{self.suffix}")
                save(path)
                data = Path(path).read_bytes()
            self._store.put(url, data)
        with self._lock:
            self._pending.pop(version, None)

    def _prune(self) -> None:
        with self._lock:
            kept = {self._name(version) for version in self._kept}
            landed = kept - {self._name(version) for version in self._pending}
        stored = [name for name in self._store.list(self.url) if is_best_name(name)]
        for name in to_prune(stored, kept, landed):
            self._store.delete(f"{self.url}/{name}")
        if not self._is_swept:
            # What a killed attempt left half written; it costs space and nothing else, so one try is enough.
            self._is_swept = True
            with contextlib.suppress(StorageError):
                self._store.sweep(self.url)

    def _name(self, version: Version) -> str:
        return best_name(version.epoch + 1, version.value, self.suffix)
