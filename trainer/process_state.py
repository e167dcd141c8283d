"""What of a process decides what a training computes, beside code: compared before and after an import."""

import gc
import locale
import logging
import multiprocessing
import os
import random
import signal
import socket
import sys
import threading
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from trainer.keras_private import keras_settings, keras_state, tensorflow_settings

State = Mapping[str, Any]
"""What a part of the process is called in a sentence, and a value to compare."""


def settings() -> State:
    """What code sets, and other code may read when it is imported."""
    return {
        "the environment": dict(os.environ),
        "the working directory": _working_directory(),
        "where modules are looked for": (tuple(sys.path), tuple(map(id, sys.path_hooks))),
        "the locale": locale.setlocale(locale.LC_ALL),
        "NumPy's handling of errors": (np.geterr(), np.geterrcall()),
        "how NumPy prints": np.get_printoptions(),
        "floating-point arithmetic": _arithmetic(),
        "warnings that are errors": [rule for rule in warnings.filters if rule[0] == "error"],
        "how processes are started": multiprocessing.get_start_method(allow_none=True),
        "Keras's settings": keras_settings(),
    }


def process_state() -> State:
    """The settings, and all else that a training begins with, from random numbers to TensorFlow's devices."""
    return {
        **settings(),
        "Python's random numbers": random.getstate(),
        "NumPy's random numbers": _numpy_random_state(),
        "signal handlers": {number: signal.getsignal(number) for number in signal.valid_signals()},
        "threads": {thread.ident for thread in threading.enumerate()},
        "which cores are used": _cores(),
        "the interpreter's limits": (sys.getrecursionlimit(), gc.get_threshold()),
        "garbage collection": gc.isenabled(),
        "import hooks": tuple(map(id, sys.meta_path)),
        "what happens to exceptions": (sys.excepthook, threading.excepthook, sys.unraisablehook),
        "the standard streams": tuple(map(id, (sys.stdin, sys.stdout, sys.stderr))),
        "logging": (logging.root.level, logging.root.manager.disable, tuple(map(id, logging.root.handlers))),
        "the sockets' patience": socket.getdefaulttimeout(),
        "Keras's state": keras_state(),
        "TensorFlow's devices or settings": tensorflow_settings(),
    }


def differences(before: State, after: State) -> list[str]:
    """What the parts are called in which two states differ."""
    return [name for name, value in before.items() if value != after[name]]


def _working_directory() -> str:
    try:
        return os.getcwd()
    except FileNotFoundError:
        return ""


def _numpy_random_state() -> tuple[Any, ...]:
    kind, keys, *rest = np.random.get_state()
    return (kind, np.asarray(keys).tobytes(), *rest)


def _arithmetic() -> tuple[float, ...]:
    # Libraries compiled for speed alone have the processor take the smallest numbers for zero, once loaded.
    with np.errstate(all="ignore"):
        kept = [float(np.nextafter(kind(0), kind(1)) * kind(1)) for kind in (np.float64, np.float32)]
        return (*kept, float(np.float64(1) + np.float64(3 * 2**-54)))


def _cores() -> frozenset[int]:
    return frozenset(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else frozenset()
