"""What decides the bits of a training beside its code, data and seed."""

import hashlib
import os
import platform
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from trainer.distribution import Topology

_VARIABLES = (
    "TF_ENABLE_ONEDNN_OPTS",
    "ONEDNN_MAX_CPU_ISA",
    "ONEDNN_DEFAULT_FPMATH_MODE",
    "OMP_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
    "TF_DETERMINISTIC_OPS",
    "TF_CUDNN_DETERMINISTIC",
    "TF_CUDNN_USE_AUTOTUNE",
    "TF_XLA_FLAGS",
    "XLA_FLAGS",
    "NVIDIA_TF32_OVERRIDE",
    "CUBLAS_WORKSPACE_CONFIG",
    "PYTHONHASHSEED",
    "PERDURE_IMAGE",
)
_PREFIXES = ("NCCL_",)


def record(strategy: tf.distribute.Strategy, *, deterministic: bool) -> dict[str, Any]:
    """The conditions of this process, JSON-able: names for people to values.

    Args:
        strategy: The strategy of this process.
        deterministic: Whether op determinism is on.
    """
    topology = Topology.of(strategy)
    build = tf.sysconfig.get_build_info()
    return {
        "Python": platform.python_version(),
        "TensorFlow": tf.__version__,
        "TensorFlow's commit": tf.version.GIT_VERSION,
        "Keras": keras.__version__,
        "NumPy": np.__version__,
        "CUDA of TensorFlow": build.get("cuda_version", "none"),
        "cuDNN of TensorFlow": build.get("cudnn_version", "none"),
        "operating system": f"{sys.platform} {platform.machine()}, {' '.join(platform.libc_ver())}",
        **_cpu(Path("/proc/cpuinfo")),
        "GPUs": _gpus(),
        "GPU driver": _first_line(Path("/proc/driver/nvidia/version")),
        "workers": topology.workers,
        "replicas": topology.replicas,
        "threads of an operation": tf.config.threading.get_intra_op_parallelism_threads(),
        "threads between operations": tf.config.threading.get_inter_op_parallelism_threads(),
        "determinism of operations": deterministic,
        "TensorFloat-32": tf.config.experimental.tensor_float_32_execution_enabled(),
        **{f"environment variable {name}": value for name, value in _environment(os.environ).items()},
    }


def changed(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """The conditions that differ, for people; none where the same bits are to be expected.

    Args:
        before: What `record` gave when the run began, as read back from JSON.
        now: What it gives now.
    """
    names = dict.fromkeys([*now, *before])
    return [
        f"{name} changed from {before.get(name, 'not set')} to {now.get(name, 'not set')}"
        for name in names
        if before.get(name) != now.get(name)
    ]


def _cpu(path: Path) -> dict[str, Any]:
    """Model and instruction sets of the first CPU; libraries choose their kernels by them."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return {"CPU": platform.processor() or "unknown"}
    first = dict(line.split(":", 1) for line in reversed(lines) if ":" in line)
    fields = {key.strip(): value.strip() for key, value in first.items()}
    flags = " ".join(sorted(fields.get("flags", fields.get("Features", "")).split()))
    return {
        "CPU": fields.get("model name", platform.machine()),
        "CPU's instruction sets (digest)": hashlib.blake2b(flags.encode(), digest_size=8).hexdigest(),
    }


def _gpus() -> list[str]:
    details = [tf.config.experimental.get_device_details(d) for d in tf.config.list_physical_devices("GPU")]
    return [f"{d.get('device_name', 'unknown')} {d.get('compute_capability', '')}" for d in details]


def _first_line(path: Path) -> str:
    try:
        return path.read_text().splitlines()[0]
    except (OSError, IndexError):
        return "none"


def _environment(environment: Mapping[str, str]) -> dict[str, str]:
    return {
        name: value
        for name, value in sorted(environment.items())
        if name in _VARIABLES or name.startswith(_PREFIXES)
    }
