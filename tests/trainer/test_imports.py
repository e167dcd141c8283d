import subprocess
import sys
from pathlib import Path

SCRIPT = """
import sys
sys.path.insert(0, sys.argv[1])
from trainer.imports import import_ahead, imported_since
import_ahead(sys.argv[2:])
print(imported_since(set()) [-1])
"""

LISTING = """
import sys
sys.path.insert(0, sys.argv[1])
from trainer.imports import imported_since
known = set(sys.modules)
import second
from pathlib import Path
from trainer import user_code
folder = Path(sys.argv[1]) / "experiment"
user_code.load("model.py:build", folder)
sys.modules["alias"] = second
print(imported_since(known))
"""


def run(script: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_modules_are_imported_and_one_that_fails_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("raise OSError")
    (tmp_path / "wanted.py").write_text("")
    done = run(SCRIPT, str(tmp_path), "no_such_module", "broken", "wanted")
    assert (done.returncode, done.stdout) == (0, "wanted\n"), done.stderr


def test_a_process_in_which_a_module_drew_random_numbers_is_not_used(tmp_path: Path) -> None:
    for name, line in (
        ("python_draws", "import random; random.random()"),
        ("numpy_draws", "import numpy as np; np.random.random()"),
    ):
        (tmp_path / f"{name}.py").write_text(line)
        done = run(SCRIPT, str(tmp_path), name)
        assert done.returncode == 1
        assert f"ImportedTooMuchError: importing {name} draws random numbers" in done.stderr.replace(
            "trainer.imports.", ""
        )


def test_a_process_in_which_a_module_ran_an_operation_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "computes.py").write_text("import tensorflow as tf; tf.constant(1) + 1")
    done = run(SCRIPT, str(tmp_path), "computes")
    assert done.returncode == 1
    assert "importing computes makes TensorFlow open its devices" in done.stderr


def test_what_the_experiment_needs_is_told_in_order_without_its_own_code(tmp_path: Path) -> None:
    for name, code in (("first", ""), ("second", "import first"), ("third", "")):
        (tmp_path / f"{name}.py").write_text(code)
    experiment = tmp_path / "experiment"
    experiment.mkdir()
    (experiment / "model.py").write_text("import third\n\ndef build(parameters): ...\n")
    done = run(LISTING, str(tmp_path))
    assert done.stdout == "('first', 'second', 'third')\n", done.stderr
