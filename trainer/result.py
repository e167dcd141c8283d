"""What a run leaves behind beside its models and logs: result.json and environment.json."""

import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from trainer.contract import plain_json, pod

_PACKAGES = ("perdure", "tensorflow", "tensorflow-cpu", "keras", "numpy", "tensorboard")
_VARIABLES = ("PYTHONHASHSEED", "OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")


def environment(folder: Path, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Collects what decides, beside the experiment file, how a run goes.

    Args:
        folder: The experiment's folder, whose git revision is noted where it has one; else that of the image.
        facts: More that only the caller knows, such as workers and devices.
    """
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "versions": {name: found for name in _PACKAGES if (found := installed_version(name))},
        "git_revision": _git_revision(folder) or os.environ.get(pod.REVISION),
        "variables": {name: os.environ[name] for name in _VARIABLES if name in os.environ},
        "executable": sys.executable,
        **facts,
    }


def finished(
    *,
    experiment_digest: str,
    stopped_by: str,
    epochs: int,
    epochs_asked: int,
    best: Sequence[Mapping[str, Any]],
    weights_digest: str,
    history: Mapping[str, Sequence[Any]],
    examples_per_second: float,
    seconds: float,
    stop_reason: str = "",
    gpu_seconds_used: float = 0.0,
    gpu_seconds_saved: float | None = None,
) -> dict[str, Any]:
    """The content of result.json for a run that came to its end.

    Args:
        experiment_digest: Of experiment and code; no other experiment's run takes the result for its own.
        stopped_by: `epochs`, `early_stopping`, `stopping`, `watchdog`, `deadline`, or the class of the
            callback that did it.
        epochs: Epochs trained.
        epochs_asked: Epochs that the experiment allowed.
        best: For every version kept its monitor, epoch (from 1), value and path; best first per monitor.
        weights_digest: sha256 over the final weights, equal on all workers.
        history: Metrics by name, one value per epoch.
        examples_per_second: Training examples over the time of training steps, over all workers and epochs.
        seconds: From the first epoch's begin to the end of training.
        stop_reason: What the callback that stopped training says of it, in a line; may be empty.
        gpu_seconds_used: GPUs of all workers times the seconds since worker 0's supervisor began, waiting
            included, and those of the attempts before; 0 on CPUs.
        gpu_seconds_saved: What the epochs that early stopping or a condition of `stopping` spared would have
            taken, 0 where anything else ended the run; None where no epoch was measured.
    """
    return {
        "status": "finished",
        "experiment_digest": experiment_digest,
        "stopped_by": stopped_by,
        "stop_reason": stop_reason,
        "epochs": epochs,
        "epochs_asked": epochs_asked,
        "best": [dict(each) for each in best],
        "weights_digest": weights_digest,
        "history": {name: [_plain(value) for value in values] for name, values in history.items()},
        "examples_per_second": examples_per_second,
        "seconds": seconds,
        "gpu_seconds_used": gpu_seconds_used,
        "gpu_seconds_saved": gpu_seconds_saved,
    }


def to_json(content: Mapping[str, Any]) -> bytes:
    """Writes one of the above as readable JSON.

    What JSON has no numbers for becomes a text, as `plain_json` says.
    """
    return plain_json.dumps(content, indent=2).encode() + b"\n"


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") and getattr(value, "size", 1) == 1 else value


def installed_version(package: str) -> str | None:
    """The version of an installed distribution, or None."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _git_revision(folder: Path) -> str | None:
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        told = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)  # noqa: S603
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return None
    return told.stdout.strip() or None
