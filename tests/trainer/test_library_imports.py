import importlib
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from trainer import user_code
from trainer.contract.messages import LibraryModule
from trainer.library_imports import LibraryImports, import_ahead

OPENS_DEVICES = """
import sys
sys.path.insert(0, sys.argv[1])
from trainer.contract.messages import LibraryModule
from trainer.library_imports import import_ahead
print(import_ahead([LibraryModule("opens", (sys.argv[1] + "/opens.py",))], 1, lambda: False))
"""


@pytest.fixture(autouse=True)
def libraries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder in which modules are found, and which are forgotten in the end."""
    folder = tmp_path / "libraries"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    # Which experiment's code is installed is noted there.
    monkeypatch.setenv(user_code.VARIABLE, "")
    known = set(sys.modules)
    yield folder
    for name in set(sys.modules) - known:
        del sys.modules[name]


def write(folder: Path, **modules: str) -> list[LibraryModule]:
    for name, code in modules.items():
        (folder / f"{name}.py").write_text(code)
    return [LibraryModule(name, (f"{folder}/{name}.py",)) for name in modules]


def never() -> bool:
    return False


def test_libraries_are_told_in_their_order_and_the_experiments_own_code_never(
    tmp_path: Path, libraries: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, _ = write(libraries, lib_first="", lib_second="import lib_first", lib_third="")
    (libraries / "lib_package").mkdir()
    (libraries / "lib_package" / "__init__.py").write_text("")
    write(libraries / "lib_package", inner="")
    experiment = tmp_path / "experiment"
    (experiment / "vendored").mkdir(parents=True)
    write(experiment / "vendored", lib_vendored="")
    write(
        experiment, model="import lib_second, lib_package.inner, sys, sibling, lib_vendored\ndef build(): ..."
    )
    write(experiment, sibling="sys = __import__('sys'); sys.modules['lib_alias'] = sys.modules['lib_first']")
    (tmp_path / "link").symlink_to(experiment / "vendored")
    monkeypatch.syspath_prepend(tmp_path / "link")
    user_code.install(experiment)
    imports = LibraryImports(experiment)
    user_code.load("model.py:build", experiment)
    found = {module.name: module for module in imports.found()}
    assert list(found) == ["lib_first", "lib_second", "lib_package", "lib_package.inner"]
    assert (found["lib_first"], found["lib_second"]) == (first, second)
    package = libraries / "lib_package"
    assert found["lib_package"].places == (f"{package}/__init__.py", str(package))


@pytest.mark.parametrize(
    "code", ["import os; os.environ['LIB'] = '1'", "import sys; sys.path.append('/nowhere')"]
)
def test_nothing_is_told_where_the_experiment_changes_what_libraries_may_read(
    tmp_path: Path, libraries: Path, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIB", "0")
    monkeypatch.setattr(sys, "path", list(sys.path))
    write(libraries, lib_first="")
    experiment = tmp_path / "experiment"
    experiment.mkdir()
    write(experiment, model=f"{code}\nimport lib_first\ndef build(): ...")
    user_code.install(experiment)
    imports = LibraryImports(experiment)
    user_code.load("model.py:build", experiment)
    assert imports.found() == ()


def test_what_is_not_there_or_elsewhere_is_left_out_and_the_rest_imported(libraries: Path) -> None:
    wanted, other = write(libraries, lib_wanted="", lib_other="")
    absent = LibraryModule("lib_absent", ("/nowhere/lib_absent.py",))
    elsewhere = LibraryModule("lib_other", ("/elsewhere/lib_other.py",))
    orphan = LibraryModule("lib_absent.inner", ("/nowhere/lib_absent/inner.py",))
    assert import_ahead([absent, orphan, elsewhere, wanted], 1, never) == []
    assert "lib_wanted" in sys.modules
    assert "lib_other" not in sys.modules
    assert import_ahead([other], 1, never) == []
    assert "lib_other" in sys.modules


def test_it_ends_as_soon_as_it_must(libraries: Path) -> None:
    modules = write(libraries, lib_a="", lib_b="", lib_c="")
    assert import_ahead(modules, 1, lambda: "lib_b" in sys.modules) == []
    assert "lib_c" not in sys.modules


@pytest.mark.parametrize(
    ("code", "changed"),
    [
        ("import random; random.random()", "Python's random numbers"),
        ("import random; random.seed(3)", "Python's random numbers"),
        ("import numpy; numpy.random.random()", "NumPy's random numbers"),
        ("import os; os.environ['LIB'] = '1'", "the environment"),
        ("import numpy; numpy.seterr(all='ignore')", "NumPy's handling of errors"),
        ("raise OSError('no library')", "lib_a: OSError: no library"),
        ("raise SystemExit(3)", "lib_a: SystemExit: 3"),
    ],
)
def test_an_import_that_changes_more_than_the_modules_is_told(
    libraries: Path, code: str, changed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import numpy as np

    monkeypatch.setenv("LIB", "0")
    with np.errstate():
        assert import_ahead(write(libraries, lib_a=code), 1, never) == [changed]


def test_modules_are_imported_with_the_seed_that_the_training_has_set_by_then(libraries: Path) -> None:
    modules = write(libraries, lib_a="import random; STATE = random.getstate()")
    states = []
    for _ in range(2):
        random.random()
        assert import_ahead(modules, 5, never) == []
        states.append(sys.modules.pop("lib_a").STATE)
    random.seed(5)
    assert states == [random.getstate()] * 2


def test_whatever_the_experiment_has_set_it_is_not_disturbed_by_the_search(
    libraries: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import numpy as np

    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with np.errstate(all="raise"):
        imports = LibraryImports(tmp_path / "experiment")
        write(libraries, lib_a="")
        importlib.import_module("lib_a")
        assert [each.name for each in imports.found()] == ["lib_a"]
    monkeypatch.setattr("trainer.library_imports.settings", broken)
    assert imports.found() == ()


def broken() -> dict[str, str]:
    raise RuntimeError("an import hook of a stranger")


def test_an_import_that_opens_tensorflows_devices_is_told(libraries: Path) -> None:
    write(libraries, opens="import tensorflow as tf; tf.constant(1) + 1")
    command = [sys.executable, "-c", OPENS_DEVICES, str(libraries)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "TensorFlow's devices or settings" in done.stdout
