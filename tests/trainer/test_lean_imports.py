"""Keras is imported without what it imports for scikit-learn, which whoever wants it still finds."""

import json
import subprocess
import sys
import textwrap

import pytest

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
        from trainer.library_imports import import_ahead, LibraryImports
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
