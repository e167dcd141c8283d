"""A plain Keras script that changes one call runs on two workers and ends where it ends on one process."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.integration.workers import ROOT, run_script

SCRIPT = ROOT / "tests" / "fixtures" / "stranger.py"

# float16 gradients of half batches are rounded before they are summed.
FLOAT16 = 2e-3

pytestmark = [pytest.mark.processes, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {name: tmp_path_factory.mktemp(name) for name in ("keras", "perdure")}


@pytest.fixture(scope="module")
def expected(folders: dict[str, Path]) -> Any:
    (result,) = run_script(SCRIPT, [str(folders["keras"])], 1, folders["keras"] / "run")
    return result


@pytest.fixture(scope="module")
def workers(folders: dict[str, Path]) -> list[Any]:
    arguments = [str(folders["perdure"]), "--perdure"]
    return run_script(SCRIPT, arguments, 2, folders["perdure"] / "run")


def test_both_workers_end_alike(workers: list[Any]) -> None:
    assert workers[0] == workers[1]


def test_history_and_callbacks_are_those_of_one_process(workers: list[Any], expected: Any) -> None:
    assert workers[0]["epochs"] == expected["epochs"]
    assert workers[0]["rates"] == pytest.approx(expected["rates"], rel=1e-6)
    assert list(workers[0]["history"]) == list(expected["history"])
    for name, values in expected["history"].items():
        np.testing.assert_allclose(
            workers[0]["history"][name], values, rtol=FLOAT16, atol=FLOAT16, err_msg=name
        )


def test_weights_are_those_of_one_process(workers: list[Any], expected: Any, record_difference: Any) -> None:
    pairs = list(zip(workers[0]["weights"], expected["weights"], strict=True))
    largest = max(float(np.abs(np.subtract(one, other)).max()) for one, other in pairs)
    record_difference("2 workers, float16", largest)
    assert largest < 10 * FLOAT16


def test_the_checkpoint_was_written_once(workers: list[Any], expected: Any, folders: dict[str, Path]) -> None:
    for folder in folders.values():
        assert (folder / "best.weights.h5").stat().st_size > 0
