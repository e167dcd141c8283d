"""Tells what an exception means: whose it is, where it began, and what to show of it."""

import errno
import textwrap
import traceback
from pathlib import Path

from trainer.checkpoint import FencedError
from trainer.contract.exit_codes import ExitCode
from trainer.contract.messages import Failed, Origin
from trainer.contract.refusal import RefusedError
from trainer.contract.rollback import RollBack
from trainer.storage import AlreadyExistsError, PermissionDeniedError, StorageError, UnsupportedStoreError
from trainer.user_code import UserCodeError

_LONGEST_LINE = 400

_OWN_FOLDER = str(Path(__file__).resolve().parent)

# What TensorFlow raises in a worker when another one has gone, by name, so that it need not be imported.
_LOST_PEER = {"UnavailableError", "AbortedError", "CancelledError", "DeadlineExceededError"}
_LOST_PEER_TEXTS = ("Collective ops is aborted", "coordination service", "Connection reset by peer")


class SetupError(RefusedError):
    """The experiment is not what Perdure needs."""

    def __init__(self, message: str, exit_code: ExitCode) -> None:
        super().__init__(message)
        self.exit_code = exit_code


_KNOWN: tuple[tuple[type[Exception], ExitCode, Origin], ...] = (
    (UserCodeError, ExitCode.USAGE, Origin.SETUP),
    (AlreadyExistsError, ExitCode.CONFIG, Origin.SETUP),
    (FencedError, ExitCode.FENCED, Origin.SETUP),
    (UnsupportedStoreError, ExitCode.USAGE, Origin.SETUP),
    (PermissionDeniedError, ExitCode.NO_PERMISSION, Origin.SETUP),
    (StorageError, ExitCode.CRASH, Origin.PERDURE),
)


def describe(error: BaseException, folder: Path, worker: int) -> Failed:
    """Turns an exception into the report of a worker that cannot go on.

    Args:
        error: What was raised.
        folder: The experiment's folder, to tell its frames from others.
        worker: Zero-based number of the worker.
    """
    code, origin = _classify(error, folder)
    shown = "" if origin is Origin.SETUP else "".join(_trimmed(error))
    return Failed(worker, int(code), origin, _in_one_line(error), shown, _where(error, folder))


def gone_back(record: RollBack, worker: int) -> Failed:
    """The report of a worker that ends so that the run can go back."""
    return Failed(worker, int(ExitCode.TERMINATED), Origin.ROLL_BACK, record.message)


def _classify(error: BaseException, folder: Path) -> tuple[ExitCode, Origin]:
    if isinstance(error, RefusedError):
        return error.exit_code, Origin.SETUP
    for kind, code, origin in _KNOWN:
        if isinstance(error, kind):
            return code, origin
    if _is_lost_peer(error):
        return ExitCode.CRASH, Origin.PEER
    # An error of TensorFlow or Keras is what the experiment's model or data led to; one of ours is not.
    frames = _frames(error)
    ours = bool(frames) and frames[-1].filename.startswith(_OWN_FOLDER) and not _where(error, folder)
    if ours and not isinstance(error, ValueError | TypeError):
        return ExitCode.CRASH, Origin.PERDURE
    return ExitCode.SOFTWARE, Origin.USER


def _is_lost_peer(error: BaseException) -> bool:
    text = str(error)
    if isinstance(error, OSError):
        return error.errno in (errno.ECONNRESET, errno.ECONNREFUSED) and "grpc" in text
    name = type(error).__name__
    known = type(error).__module__.startswith("tensorflow")
    return known and (name in _LOST_PEER or any(part in text for part in _LOST_PEER_TEXTS))


def _frames(error: BaseException) -> list[traceback.FrameSummary]:
    return list(traceback.extract_tb(error.__traceback__))


def _where(error: BaseException, folder: Path) -> str:
    """`file:line` of the innermost frame in the experiment's folder; empty if there is none."""
    if isinstance(error, SyntaxError) and error.filename and Path(error.filename).is_relative_to(folder):
        return f"{Path(error.filename).relative_to(folder)}:{error.lineno}"
    for frame in reversed(_frames(error)):
        if Path(frame.filename).is_relative_to(folder):
            return f"{Path(frame.filename).relative_to(folder)}:{frame.lineno}"
    return ""


def _in_one_line(error: BaseException) -> str:
    if isinstance(error, RefusedError | UserCodeError):
        return str(error)
    # Keras says where in the first line of a message, and what in the next.
    told = "".join(traceback.format_exception_only(error)).splitlines()
    return textwrap.shorten(" ".join([line for line in told if line.strip()][:2]), _LONGEST_LINE)


def _trimmed(error: BaseException) -> list[str]:
    """Formats a traceback without the frames that led from Perdure, or from importlib, to the user's code."""
    shown = traceback.TracebackException.from_exception(error)
    stack = shown.stack
    first = next((i for i, frame in enumerate(stack) if not _is_scaffold(frame)), 0)
    del stack[:first]
    return list(shown.format())


def _is_scaffold(frame: traceback.FrameSummary) -> bool:
    return (
        frame.filename.startswith((_OWN_FOLDER, "<frozen importlib"))
        or Path(frame.filename).parent.name == "importlib"
    )
