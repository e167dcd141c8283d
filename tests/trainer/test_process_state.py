import ctypes
import gc
import logging
import os
import random
import signal
import socket
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from trainer.process_state import differences, process_state, settings

_TOWARDS_ZERO = 0xC00


@contextmanager
def undone(do: Callable[[], Any], undo: Callable[[], Any]) -> Iterator[None]:
    do()
    try:
        yield
    finally:
        undo()


@contextmanager
def another_thread() -> Iterator[None]:
    end = threading.Event()
    thread = threading.Thread(target=end.wait)
    thread.start()
    yield
    end.set()
    thread.join()


HOME = os.getcwd()
ROUND = ctypes.CDLL(None).fesetround
SETTINGS = {
    "the environment": lambda: undone(lambda: os.environ.update(A="1"), lambda: os.environ.pop("A")),
    "the working directory": lambda: undone(lambda: os.chdir("/"), lambda: os.chdir(HOME)),
    "where modules are looked for": lambda: undone(lambda: sys.path.append("/nowhere"), sys.path.pop),
    "NumPy's handling of errors": lambda: np.errstate(over="raise"),
    "how NumPy prints": lambda: np.printoptions(precision=3),
    "floating-point arithmetic": lambda: undone(lambda: ROUND(_TOWARDS_ZERO), lambda: ROUND(0)),
    "warnings that are errors": lambda: warnings.catch_warnings(action="error"),
    "Keras's settings": lambda: undone(
        lambda: keras.config.set_floatx("float64"), lambda: keras.config.set_floatx("float32")
    ),
}
OTHERS = {
    "Python's random numbers": lambda: undone(random.random, lambda: None),
    "NumPy's random numbers": lambda: undone(np.random.random, lambda: None),
    "signal handlers": lambda: undone(
        lambda: signal.signal(signal.SIGUSR2, signal.SIG_IGN),
        lambda: signal.signal(signal.SIGUSR2, signal.SIG_DFL),
    ),
    "threads": another_thread,
    "garbage collection": lambda: undone(gc.disable, gc.enable),
    "import hooks": lambda: undone(lambda: sys.meta_path.insert(0, object()), lambda: sys.meta_path.pop(0)),
    "logging": lambda: undone(
        lambda: logging.disable(logging.ERROR), lambda: logging.disable(logging.NOTSET)
    ),
    "the sockets' patience": lambda: undone(
        lambda: socket.setdefaulttimeout(3), lambda: socket.setdefaulttimeout(None)
    ),
    "Keras's state": lambda: undone(lambda: keras.layers.Layer(name=None), lambda: None),
    "TensorFlow's devices or settings": lambda: undone(lambda: tf.random.set_seed(7), lambda: None),
}


@pytest.mark.parametrize("changed", [*SETTINGS, *OTHERS])
def test_what_code_changes_is_named_and_nothing_else(changed: str) -> None:
    before = process_state()
    with {**SETTINGS, **OTHERS}[changed]():
        assert differences(before, process_state()) == [changed]


@pytest.mark.parametrize("changed", [*SETTINGS, *OTHERS])
def test_settings_are_what_code_sets_and_other_code_reads(changed: str) -> None:
    before = settings()
    with {**SETTINGS, **OTHERS}[changed]():
        assert differences(before, settings()) == ([changed] if changed in SETTINGS else [])


def test_looking_changes_nothing() -> None:
    assert differences(process_state(), process_state()) == []
