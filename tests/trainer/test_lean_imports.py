"""Keras is imported without what it imports for scikit-learn, which whoever wants it still finds."""

import importlib
import json
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType

import pytest

from trainer import lean_imports

BEFORE = """
    import gc, json, sys
    from trainer.lean_imports import lean_imports
    with lean_imports():
        import trainer.training_run
        assert not gc.isenabled()
    assert gc.isenabled()
    assert "trainer.lean_imports" not in {type(each).__module__ for each in sys.meta_path}
    found = lambda: sorted({"sklearn", "scipy.stats", "keras.src.wrappers"} & set(sys.modules))
    before = found()
    import inspect, keras
    inspect.getmodule(inspect.currentframe())
    looked = found()
"""


def told(code: str) -> list[object]:
    text = textwrap.dedent(BEFORE) + textwrap.dedent(code)
    ended = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    answer: list[object] = json.loads(ended.stdout.splitlines()[-1])
    return answer


@pytest.mark.parametrize(
    "asking",
    ["wrapper = keras.wrappers.SKLearnClassifier", "from keras.wrappers import SKLearnClassifier as wrapper",
     "dir(keras.wrappers); wrapper = keras.wrappers.SKLearnClassifier",
     "from keras.wrappers import *; wrapper = SKLearnClassifier"],
)  # fmt: skip
def test_the_wrappers_are_there_for_whoever_asks(asking: str) -> None:
    before, looked, after, bases, name = told(f"""
        {asking}
        import sklearn.base
        bases = issubclass(wrapper, sklearn.base.ClassifierMixin)
        print(json.dumps([before, looked, found(), bases, type(keras.wrappers).__name__]))
    """)
    assert (before, looked) == ([], [])
    assert after == ["keras.src.wrappers", "scipy.stats", "sklearn"]
    assert bases is True
    assert name == "module"


def test_scikit_learn_changes_nothing_that_a_standby_may_not_change() -> None:
    (changed, before, after) = told("""
        import os
        from trainer.library_imports import LibraryImports
        from pathlib import Path
        from trainer.threads import pin_environment
        pin_environment(os.environ, 1)
        imports = LibraryImports(Path("/nowhere"))
        from trainer.process_state import process_state, differences
        state = process_state()
        import sklearn.datasets
        print(json.dumps([differences(state, process_state()), before, len(imports.found())]))
    """)
    assert changed == []
    assert before == []
    assert isinstance(after, int)
    assert after > 100


def postponed(folder: Path, monkeypatch: pytest.MonkeyPatch, code: str) -> ModuleType:
    """A module that counts how often its code is run."""
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setattr(lean_imports, "ON_DEMAND", {folder.name})
    runs = folder / "runs"
    count = f"with open({str(runs)!r}, 'a') as runs:\n    runs.write('x')\n"
    (folder / f"{folder.name}.py").write_text(count + textwrap.dedent(code))
    with lean_imports.lean_imports():
        module = importlib.import_module(folder.name)
    assert not runs.exists()
    del sys.modules[folder.name]
    return module


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "postponed_sample"
    made.mkdir()
    return made


def test_all_threads_that_ask_at_once_find_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = postponed(folder, monkeypatch, "import time; time.sleep(0.2); thing = 7")
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(lambda _: module.thing, range(4))) == [7] * 4
    assert (folder / "runs").read_text() == "x"
    assert type(module) is ModuleType


def test_code_that_fails_says_so_whenever_it_is_asked(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = postponed(folder, monkeypatch, "raise ValueError('size changed')")
    for _ in range(2):
        with pytest.raises(ValueError, match="size changed"):
            module.thing  # noqa: B018


def test_what_is_not_there_is_missed_as_in_any_module(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = postponed(folder, monkeypatch, "thing = 7")
    assert not hasattr(module, "__wrapped__")
    assert not (folder / "runs").exists()
    with pytest.raises(AttributeError, match="no attribute 'other'"):
        module.other  # noqa: B018
    assert "thing" in dir(module)
    assert (folder / "runs").read_text() == "x"
