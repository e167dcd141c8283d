"""Stores the best models by a metric, each under a name of its own."""
# ruff: noqa: ARG002  # Keras fixes what the hooks are given

import contextlib
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from trainer.callbacks.averages import keeps_averages
from trainer.callbacks.base import MonitoringCallback
from trainer.callbacks.shadow_model import KERAS_SUFFIX, WEIGHTS_SUFFIX, Shadows, save_model
from trainer.callbacks.snapshot import Snapshots, Weights, copy_weights
from trainer.callbacks.version_files import ReadBackError, VersionFiles, file_content
from trainer.contract.telemetry import BestNotStored
from trainer.policies.best import Version, best_of, consider
from trainer.policies.retention import to_prune
from trainer.storage import BackgroundWriter, StorageError


class BestModels(MonitoringCallback):
    """Keeps the `keep` best models as `<url>/<epoch>-<value>.keras`, epoch counted from 1.

    Of equal values the first wins, as in Keras's ModelCheckpoint with `save_best_only`; NaN, and an epoch
    without the metric, never do.

    A stored version is overwritten only where its file is damaged or, since another attempt of the run wrote
    it, has other weights; a warning says so. Files are written in the background from a copy of the weights,
    and only when there is time for it; a version that is no longer among the best by then is not written at
    all. Each is read back and compared with that copy before an older one is deleted. Where it differs, a
    warning says so, the older one stays, and the write is tried again, for the last time at the end of
    training.
    The file of a model that cannot be cloned (a subclassed one) is made at once, on the training thread.

    Args:
        url: Directory of this monitor's versions.
        monitor: Name of the metric in the epoch's logs.
        mode: `auto`, `min` or `max`.
        keep: How many versions to keep.
        weights_only: Whether to store `.weights.h5` files in place of `.keras`.
        ema: Whether to store the moving averages that the optimizer keeps of the weights (`use_ema=True`) in
            place of the weights: True, False, or `auto` for where it keeps them. The metric is that of the
            weights unless `keras.callbacks.SwapEMAWeights()` has the averages validated.
        writer: Shared with other callbacks.
        snapshots: Shared with other callbacks, so that the weights are copied once per epoch.
        shadows: Shared with other callbacks, so that the model is cloned once.
        failed: Hears, on the writer's thread too, of a version that is not read back as it was written: once,
            and again if it is given up.

    Raises:
        ValueError: If `mode` is none of the three, `keep` is below 1, or `ema` none of its three; when
            training begins, if `ema` is true and the optimizer keeps no averages.
    """

    chief_only = True

    def __init__(
        self,
        url: str,
        monitor: str = "val_loss",
        mode: str = "auto",
        keep: int = 1,
        weights_only: bool = False,
        ema: bool | str = False,
        *,
        writer: BackgroundWriter | None = None,
        snapshots: Snapshots | None = None,
        shadows: Shadows | None = None,
        failed: Callable[[BestNotStored], None] | None = None,
    ) -> None:
        super().__init__(monitor, mode)
        if keep < 1:
            raise ValueError(f"keep must be at least 1; received {keep}")
        if ema not in (True, False, "auto"):
            raise ValueError(f"ema must be True, False or 'auto'; received {ema!r}")
        self.url = url.rstrip("/")
        self.keep = keep
        self.ema = ema
        self.suffix = WEIGHTS_SUFFIX if weights_only else KERAS_SUFFIX
        self._files = VersionFiles(url, self.suffix)
        self._writer = writer if writer is not None else BackgroundWriter()
        self._snapshots = snapshots if snapshots is not None else Snapshots()
        self._shadows = shadows if shadows is not None else Shadows()
        self._tell_failed = failed
        # Guards what the writer's thread reads.
        self._lock = threading.Lock()
        self._averaged = False
        self._forget()

    def _forget(self) -> None:
        self._warned = False
        with self._lock:
            self._kept: tuple[Version, ...] = ()
            # The versions read back and not yet pruned; those that wait for it; files made of these already.
            self._stored: tuple[Version, ...] = ()
            self._pending: dict[Version, Weights] = {}
            self._made: dict[Version, bytes] = {}
            # How often the state was captured, and how often it had been when a file became superfluous.
            self._captures = 0
            self._superfluous: dict[str, int] = {}
        self._told_of: set[Version] = set()
        self._shadow: Any = None
        self._is_swept = False
        self._is_ending = False

    @property
    def kept(self) -> tuple[Version, ...]:
        """The versions kept, best first."""
        return self._kept

    def url_of(self, version: Version) -> str:
        """Where a version lies."""
        return self._files.url_of(version)

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Starts afresh; versions of an earlier training in the same place are pruned in time."""
        self._forget()
        self._snapshots.drop()
        self._shadows.drop()
        averages = keeps_averages(self.model)
        if self.ema is True and not averages:
            raise ValueError(
                f"best models by {self.monitor} are to be averages (ema: true), but the optimizer keeps "
                "none: compile the model with use_ema=True in the optimizer, or leave ema out"
            )
        self._averaged = bool(self.ema) and averages

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
        take = self._snapshots.take_averaged if self._averaged else self._snapshots.take
        weights = take(self.model, epoch)
        with self._lock:
            self._kept = decision.kept
            self._pending[version] = weights
            self._drop_overtaken()
        self._submit()

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Writes what is pending; what cannot be read back even now is given up, and an older version stays.

        Raises:
            StorageError: If a version that is to be kept could not be written.
        """
        self._is_ending = True
        if self._kept:
            self._submit()
        while (error := self._flush()) is not None:
            if not isinstance(error, ReadBackError):
                raise StorageError(self.url, "a best model could not be stored") from error
            self._give_up(error.version)
            self._submit()

    def state(self) -> dict[str, Any]:
        """The versions kept, those stored, and under `pending` the arrays of those not stored yet."""
        with self._lock:
            self._captures += 1
            return {
                "kept": [{"epoch": v.epoch, "value": v.value} for v in self._kept],
                "stored": [{"epoch": v.epoch, "value": v.value} for v in self._stored],
                "pending": {str(v.epoch): list(weights) for v, weights in self._pending.items()},
            }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on from what `state` returned, and writes what was pending then."""
        kept = _versions(state["kept"])
        pending = state["pending"]
        with self._lock:
            self._kept = kept
            self._pending = {
                v: tuple(np.asarray(a) for a in pending[str(v.epoch)])
                for v in kept
                if str(v.epoch) in pending
            }
            landed = tuple(v for v in kept if v not in self._pending)
            self._stored = _versions(state["stored"]) if "stored" in state else landed
            self._captures = 1
        self._submit()

    def _submit(self) -> None:
        # Not when training begins: one that goes on from a checkpoint has no time for it then.
        if self._pending:
            self._shadow = self._shadows.of(self.model)
            if self._shadow is None:
                self._make_files()
        self._writer.submit(self.url, self._write_pending, paced=True)

    def _make_files(self) -> None:
        """Makes the files of a model that cannot be cloned, with the weights in the model for as long."""
        with self._lock:
            missing = {v: weights for v, weights in self._pending.items() if v not in self._made}
        for version, weights in missing.items():
            with _holding(self.model, weights):
                data = file_content(lambda path: save_model(self.model, path), self.suffix)
            with self._lock:
                self._made[version] = data

    def _write_pending(self) -> None:
        """Writes what is kept and not stored, best first, then prunes; on the writer's thread.

        Raises:
            ReadBackError: Of one version at least; all others have been written, and nothing pruned.
            StorageError: The store failed.
        """
        failed: dict[Version, ReadBackError] = {}
        while True:
            with self._lock:
                item = next((each for each in self._pending.items() if each[0] not in failed), None)
            if item is None:
                break
            try:
                self._put(*item)
            except ReadBackError as error:
                failed[error.version] = error
        for version, failure in failed.items():
            if version not in self._told_of:
                self._told_of.add(version)
                self._tell(version, f"{failure}; {self._what_stays()}")
        for version, failure in failed.items():
            raise ReadBackError(version, f"{failure}; {self._what_stays()}") from failure
        self._prune()

    def _put(self, version: Version, weights: Weights) -> None:
        def make() -> bytes:
            made = self._made.get(version)
            if made is not None:
                return made
            return file_content(lambda path: self._shadow.save(path, weights), self.suffix)

        self._files.write(version, make, weights, self._shadow.load if self._shadow else None)
        with self._lock:
            self._pending.pop(version, None)
            self._made.pop(version, None)
            if version not in self._stored:
                self._stored = (*self._stored, version)

    def _flush(self) -> Exception | None:
        return next((failure.error for failure in self._writer.flush() if failure.key == self.url), None)

    def _give_up(self, version: Version) -> None:
        """Keeps the best of the others in its place."""
        # An attempt that was killed since may have pruned what the state of this one still lists.
        there = {v for v in self._stored if self._files.exists(v)}
        with self._lock:
            self._pending.pop(version, None)
            self._stored = tuple(v for v in self._stored if v in there)
            self._kept = best_of({*self._stored, *self._pending}, self.direction(), self.keep)
            self._drop_overtaken()
        best = f"the best is {self._files.name(self._kept[0])}" if self._kept else "there is no best model"
        self._tell(
            version, f"{self._files.name(version)} could not be stored intact and is given up; {best}", True
        )
        warnings.warn(
            f"{self.url_of(version)} could not be stored intact and is given up; {best}", stacklevel=3
        )

    def _tell(self, version: Version, why: str, given_up: bool = False) -> None:
        if self._tell_failed is not None:
            self._tell_failed(BestNotStored(self.monitor, version.epoch + 1, version.value, why, given_up))

    def _what_stays(self) -> str:
        with self._lock:
            best = best_of(self._stored, self.direction(), 1)
        return (
            f"{self._files.name(best[0])} stays the best that is stored" if best else "no older one is stored"
        )

    def _drop_overtaken(self) -> None:
        """Forgets what waits and is no longer kept, and sorts the rest, best first; the lock is held."""
        self._pending = {v: self._pending[v] for v in self._kept if v in self._pending}
        self._made = {v: data for v, data in self._made.items() if v in self._pending}

    def _prune(self) -> None:
        names = self._files.names()
        with self._lock:
            kept = {self._files.name(version) for version in self._kept}
            landed = kept - {self._files.name(version) for version in self._pending}
            expired = self._expired(to_prune(names, kept, landed))
            # Before anything goes: a capture in between must not tell of what is about to go.
            self._stored = tuple(v for v in self._stored if self._files.name(v) not in expired)
        self._files.delete(expired)
        if not self._is_swept:
            self._is_swept = True
            self._files.sweep()

    def _expired(self, superfluous: Sequence[str]) -> list[str]:
        """Those of the superfluous files that no checkpoint may need any more; the lock is held.

        A training that goes on from a checkpoint expects what that one lists. One capture at a time is
        written: when the second one without a file is taken, the first is committed.
        """
        self._superfluous = {name: self._superfluous.get(name, self._captures) for name in superfluous}
        at_once = self._is_ending or not self._captures
        return [n for n, since in self._superfluous.items() if at_once or self._captures >= since + 2]


def _versions(plain: Any) -> tuple[Version, ...]:
    return tuple(Version(int(v["epoch"]), float(v["value"])) for v in plain)


@contextlib.contextmanager
def _holding(model: keras.Model, weights: Weights) -> Iterator[None]:
    """Has `weights` in the model, and puts its own back, bit for bit."""
    own = copy_weights(model)
    if all(np.array_equal(*pair) for pair in zip(own, weights, strict=True)):
        yield
        return
    model.set_weights(list(weights))
    try:
        yield
    finally:
        model.set_weights(list(own))
