"""What is pinned before TensorFlow is imported: thread counts, which decide the bits, and a few others."""

from collections.abc import MutableMapping
from typing import Literal


def thread_count(asked: int | Literal["auto"], cores: int, workers: int) -> int:
    """Tells how many threads one worker computes with.

    Args:
        asked: `spec.training.threads`.
        cores: Cores of this machine.
        workers: Workers that share them.
    """
    return max(1, cores // workers) if asked == "auto" else asked


def pin_environment(environment: MutableMapping[str, str], threads: int) -> None:
    """Sets what TensorFlow and the libraries under it read once, when they are imported.

    Args:
        environment: Environment variables, changed in place; the user's own log level stays.
        threads: What one operation computes with.
    """
    environment["OMP_NUM_THREADS"] = str(threads)
    environment["TF_NUM_INTRAOP_THREADS"] = str(threads)
    # One thread between operations could wait for ever for a collective that the other worker has not begun.
    environment["TF_NUM_INTEROP_THREADS"] = str(max(2, threads))
    environment["KERAS_BACKEND"] = "tensorflow"
    environment.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    # As scikit-learn sets them when it is imported: an experiment that does so then changes nothing, and a
    # standby can import it ahead.
    environment.setdefault("KMP_DUPLICATE_LIB_OK", "True")
    environment.setdefault("KMP_INIT_AT_FORK", "FALSE")
