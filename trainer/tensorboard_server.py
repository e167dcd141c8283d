"""TensorBoard over the logs of runs: `python -m trainer.tensorboard_server --logdir URL`.

`perdure tensorboard` becomes this process on the desk, and k8s/tensorboard runs it in a cluster. TensorFlow
is kept out of it, though it may be installed: its import takes seconds and half a gigabyte, adds nothing to
what is shown of a run's logs, and leaves `s3://` unread.
"""

import contextlib
import importlib.util
import io
import os
import resource
import signal
import sys
import threading
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from trainer.contract.exit_codes import ExitCode

TRIED_PACKAGES = {"gs": ("gcsfs",), "s3": ("s3fs", "boto3"), "az": ("adlfs",)}
"""Packages of which one reads the URLs of a scheme."""
_OWN_DESCRIPTORS = 100
_ARGPARSE_REFUSED = 2
_ENDINGS = {
    signal.SIGINT: ExitCode.INTERRUPTED,
    signal.SIGTERM: ExitCode.TERMINATED,
    signal.SIGHUP: ExitCode.TERMINATED,
}


class CannotServeError(Exception):
    """TensorBoard cannot be started; the message says why, and what to do."""


def main(arguments: Sequence[str]) -> int:
    """Serves until a signal ends it.

    Args:
        arguments: TensorBoard's, `--logdir` among them.

    Returns:
        A value of `ExitCode`.
    """
    for number, code in _ENDINGS.items():
        # One that is ignored, as SIGHUP is under nohup, stays so.
        if signal.getsignal(number) is not signal.SIG_IGN:
            # An exception would be lost where Python ignores it; the data server ends with this process.
            signal.signal(number, lambda *_, code=code: os._exit(code))
    try:
        url = _start([*loading(_log_directory(arguments), _open_files()), *arguments])
    except CannotServeError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return ExitCode.USAGE
    except SystemExit as error:
        # What argparse ends with has been told by it.
        return ExitCode.USAGE if error.code == _ARGPARSE_REFUSED else int(error.code or 0)
    print(f"TensorBoard at {url} (Ctrl-C ends it)", flush=True)  # noqa: T201
    threading.Event().wait()
    return ExitCode.OK


def loading(directory: str, descriptors: int) -> list[str]:
    """TensorBoard's options for how it is to read a directory.

    Its data server is some sixty times as fast, but keeps each file open and leaves out what it cannot open,
    and a run has a file per epoch. In object stores it dies where it finds no credentials of its kind.

    Args:
        directory: Path or URL.
        descriptors: How many files a process may have open.

    Raises:
        CannotServeError: A package that reads such URLs is missing.
    """
    scheme, separator, _ = directory.partition("://")
    if separator:
        tried = TRIED_PACKAGES.get(scheme, ())
        if tried and not any(map(importlib.util.find_spec, tried)):
            raise CannotServeError(f"to read {scheme}:// TensorBoard needs a package: pip install {tried[0]}")
        return ["--load_fast=false"]
    few = _event_files(directory) + _OWN_DESCRIPTORS <= descriptors
    return [] if few else ["--load_fast=false"]


def _log_directory(arguments: Sequence[str]) -> str:
    """The value of `--logdir`, in either of its forms; empty where there is none."""
    for option, following in zip(arguments, [*arguments[1:], ""], strict=True):
        if option == "--logdir":
            return following
        if option.startswith("--logdir="):
            return option.removeprefix("--logdir=")
    return ""


def _open_files() -> int:
    """Lets this process, and what it starts, open as many files as it may; returns how many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # Where the limit is none at all, some systems take no number that says so.
    if hard in (soft, resource.RLIM_INFINITY):
        return soft
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def _event_files(directory: str) -> int:
    return sum("tfevents" in name for _, _, names in os.walk(directory) for name in names)


def _start(arguments: Sequence[str]) -> str:
    """Starts TensorBoard in a thread of its own; returns where it is found.

    Raises:
        CannotServeError: It is not installed, or refuses an option or the port.
    """
    # TensorBoard looks for a module of this name, which it does not have, to do without TensorFlow.
    sys.modules["tensorboard.compat.notf"] = ModuleType("tensorboard.compat.notf")
    try:
        from tensorboard import default, program  # noqa: PLC0415
        from tensorboard.plugins.base_plugin import FlagsError  # noqa: PLC0415
    except ModuleNotFoundError as error:
        told = "TensorBoard is not installed here: pip install 'tensorboard>=2.21,<2.22'"
        raise CannotServeError(f"{told} ({error})") from error
    board = program.TensorBoard(plugins=default.get_plugins())
    try:
        board.configure(["tensorboard", *arguments])
        return _launched(board)
    except (FlagsError, program.TensorBoardServerException) as error:
        raise CannotServeError(getattr(error, "msg", "") or str(error)) from error


def _launched(board: Any) -> str:
    # It would tell that its data server is an experiment; where it fails, what it said is told.
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            return str(board.launch())
    except SystemExit as error:
        raise CannotServeError(said.getvalue().strip()) from error


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
