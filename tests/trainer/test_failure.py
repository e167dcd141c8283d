import traceback
from pathlib import Path

import pytest

from trainer.checkpoint import NoValidCheckpointError
from trainer.checkpoint.restore import RestoreError
from trainer.contract.exit_codes import ExitCode
from trainer.contract.messages import Failed, Origin
from trainer.contract.rollback import RollBack
from trainer.data.agreement import UnequalDataError
from trainer.failure import SetupError, describe, gone_back
from trainer.storage import AlreadyExistsError, PermissionDeniedError, StorageError
from trainer.user_code import UserCodeError, load


class _LostPeer(Exception):
    """Stands for TensorFlow's, which are known by module and name."""


_LostPeer.__module__ = "tensorflow.python.framework.errors_impl"
_LostPeer.__name__ = "UnavailableError"


def described(error: BaseException, folder: Path) -> Failed:
    try:
        raise error
    except (Exception, SystemExit) as raised:  # noqa: BLE001 - every kind is a case here
        return describe(raised, folder, 1)


def test_a_worker_that_goes_back_is_no_failure() -> None:
    record = RollBack(1, 7, 0, 7, "non_finite", "what was found", 0.5)
    assert gone_back(record, 1) == Failed(1, 143, Origin.ROLL_BACK, "what was found")


@pytest.mark.parametrize(
    ("error", "code", "origin"),
    [
        (SetupError("wrong", ExitCode.CONFIG), 78, Origin.SETUP),
        (UserCodeError("no such file"), 64, Origin.SETUP),
        (AlreadyExistsError("/runs/a", "exists"), 78, Origin.SETUP),
        (PermissionDeniedError("/runs/a", "denied"), 77, Origin.SETUP),
        (StorageError("/runs/a", "broken"), 1, Origin.PERDURE),
        (_LostPeer("connection reset"), 1, Origin.PEER),
        (NoValidCheckpointError("/runs/a/checkpoints", [], ["none is left"]), 65, Origin.SETUP),
        (UnequalDataError("the workers have different data"), 65, Origin.SETUP),
        (RestoreError("the checkpoint does not fit the model"), 78, Origin.SETUP),
        (ValueError("mine"), 70, Origin.USER),
        (SystemExit(3), 70, Origin.USER),
    ],
)
def test_each_error_has_its_code_and_its_origin(
    error: BaseException, code: int, origin: Origin, tmp_path: Path
) -> None:
    failed = described(error, tmp_path)
    assert (failed.exit_code, failed.origin, failed.worker) == (code, origin, 1)


def test_what_the_user_can_mend_comes_without_a_traceback(tmp_path: Path) -> None:
    failed = described(SetupError("build in model.py returned nothing", ExitCode.USAGE), tmp_path)
    assert (failed.error, failed.traceback) == ("build in model.py returned nothing", "")


def test_the_traceback_begins_with_the_experiments_code(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("def inner():\n    raise KeyError('units')\n\ninner()\n")
    try:
        load("broken.py:build", tmp_path)
    except KeyError as error:
        failed = describe(error, tmp_path, 0)
        whole = "".join(traceback.format_exception(error))
    assert failed.error == "KeyError: 'units'"
    assert failed.where == "broken.py:2"
    assert "user_code.py" in whole
    assert "user_code.py" not in failed.traceback.partition("broken.py")[0].replace(__file__, "")
    assert failed.traceback.rstrip().endswith("KeyError: 'units'")


def test_a_syntax_error_is_placed(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("x = 1\ndef build(:\n")
    try:
        load("broken.py:build", tmp_path)
    except SyntaxError as error:
        failed = describe(error, tmp_path, 0)
    assert (failed.where, failed.exit_code) == ("broken.py:2", 70)


def test_keras_messages_of_several_lines_keep_what_matters(tmp_path: Path) -> None:
    failed = described(ValueError("Exception encountered.\n\n\x1b[1mwrong shape\x1b[0m\nmore"), tmp_path)
    assert failed.error.startswith("ValueError: Exception encountered. ")
    assert "wrong shape" in failed.error
    assert "more" not in failed.error
