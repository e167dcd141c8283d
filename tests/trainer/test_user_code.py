import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from trainer.user_code import VARIABLE, UserCodeError, load, package_name


@pytest.fixture(autouse=True)
def restored(monkeypatch: pytest.MonkeyPatch):
    """Takes back what an import leaves in the process."""
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    monkeypatch.setenv(VARIABLE, "")
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        path = folder / (name.replace("__", "/") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
    return folder


def test_two_experiments_with_files_of_the_same_names_never_collide(tmp_path: Path) -> None:
    model = "import layers\ndef build(): return layers.NAME"
    one = write(tmp_path / "one", model=model, layers="NAME = 'one'")
    two = write(tmp_path / "two", model=model, layers="NAME = 'two'")
    builds = [load("model.py:build", folder) for folder in (one, two)]
    assert [build() for build in builds] == ["one", "two"]
    assert [build.__module__ for build in builds] == [f"{package_name(f)}.model" for f in (one, two)]
    assert "layers" not in sys.modules


IMPORTS = {
    "import sibling": "import sibling\nvalue = sibling.VALUE",
    "import sibling as other": "import sibling as other\nvalue = other.VALUE",
    "from sibling import": "from sibling import VALUE as value",
    "from sibling import *": "from sibling import *\nvalue = VALUE",
    "import sub.inner": "import sub.inner\nvalue = sub.inner.VALUE",
    "import sub.inner as": "import sub.inner as inner\nvalue = inner.VALUE",
    "from sub import inner": "from sub import inner\nvalue = inner.VALUE",
    "from sub.inner import": "from sub.inner import VALUE as value",
    "relative": "from .sibling import VALUE as value",
    "relative into a sub-package": "from .sub.inner import VALUE as value",
    "inside a function": "def late():\n    import sibling\n    return sibling.VALUE\nvalue = late()",
    "a sibling of a sub-package's module": "from sub.user import VALUE as value",
    "a name that the standard library has": "import calendar\nvalue = calendar.VALUE",
    "folder without __init__": "from bare.inner import VALUE as value",
}


@pytest.mark.parametrize("name", IMPORTS)
def test_imports_work_as_in_a_script(name: str, tmp_path: Path) -> None:
    write(
        tmp_path,
        model=IMPORTS[name] + "\ndef build(): return value",
        sibling="VALUE = 7",
        calendar="VALUE = 7",
        bare__inner="VALUE = 7",
        sub__inner="VALUE = 7",
        sub__user="import sibling\nfrom .inner import VALUE\nassert sibling.VALUE == VALUE == 7",
    )
    (tmp_path / "sub" / "__init__.py").touch()
    assert load("model.py:build", tmp_path)() == 7


def test_a_library_never_sees_the_experiments_files(tmp_path: Path) -> None:
    write(tmp_path, model="import json.tool\ndef build(): return json.tool", argparse="raise RuntimeError")
    sys.modules.pop("json.tool", None)
    assert load("model.py:build", tmp_path)().__name__ == "json.tool"


def test_a_folder_of_files_does_not_hide_an_installed_package(tmp_path: Path) -> None:
    (tmp_path / "click").mkdir()
    write(tmp_path, model="import click\ndef build(): return click")
    assert load("model.py:build", tmp_path)().Command


def test_files_in_folders_and_installed_modules_can_be_named(tmp_path: Path) -> None:
    write(tmp_path, nets__small="def build(): return 'small'")
    assert load("nets/small.py:build", tmp_path)() == "small"
    assert load("json.decoder:JSONDecoder", tmp_path).__name__ == "JSONDecoder"


def test_files_may_be_links_as_those_of_a_mounted_config_map_are(tmp_path: Path) -> None:
    folder = tmp_path / "code"
    write(tmp_path / "code" / "..2026_01_01", model="from sibling import VALUE\ndef build(): return VALUE")
    write(tmp_path / "code" / "..2026_01_01", sibling="VALUE = 7")
    (folder / "..data").symlink_to("..2026_01_01")
    for name in ("model.py", "sibling.py"):
        (folder / name).symlink_to(f"..data/{name}")
    assert load("model.py:build", folder)() == 7


WRONG = {
    "missing.py:build": "there is no missing.py in {folder}",
    "model.py:biuld": "model.py defines no 'biuld'; it defines Net, build",
    "model.py:SIZE": "'SIZE' of model.py cannot be called: it is int 3",
    "model.py": "'model.py' is not of the form file.py:name or package.module:name",
    "../outside.py:build": "../outside.py lies outside the experiment's folder {folder}",
    "no_such_package.module:build": "there is no installed module 'no_such_package.module': "
    "No module named 'no_such_package'",
}


@pytest.mark.parametrize("reference", WRONG)
def test_a_wrong_reference_is_explained(reference: str, tmp_path: Path) -> None:
    write(tmp_path, model="from json import dumps\nSIZE = 3\ndef build(): pass\nclass Net: pass")
    with pytest.raises(UserCodeError) as raised:
        load(reference, tmp_path)
    assert str(raised.value) == WRONG[reference].format(folder=tmp_path)


def test_an_error_of_the_code_itself_is_passed_on(tmp_path: Path) -> None:
    write(tmp_path, model="import no_such_module_of_mine")
    with pytest.raises(ModuleNotFoundError, match="no_such_module_of_mine"):
        load("model.py:build", tmp_path)


SPAWNS = """
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    from helpers import square

    class Point:
        def __init__(self, x): self.x = x

    def double(point): return Point(square(point.x) * 2)

    def build():
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(2, mp_context=context) as pool:
            return [each.x for each in pool.map(double, [Point(1), Point(2), Point(3)])]
"""


@pytest.mark.processes
def test_what_the_code_defines_can_be_sent_to_spawned_processes(tmp_path: Path) -> None:
    write(tmp_path, model=SPAWNS, helpers="def square(x): return x * x")
    # A main module of Perdure's, as a training process has it: run with -m, and importing user_code.
    program = textwrap.dedent(
        f"""
        from pathlib import Path
        from trainer.user_code import load
        if __name__ == "__main__":
            print(load("model.py:build", Path({str(tmp_path)!r}))())
        """
    )
    main = tmp_path / "elsewhere" / "entry_of_test.py"
    main.parent.mkdir()
    main.write_text(program)
    path = os.pathsep.join([str(main.parent), os.environ.get("PYTHONPATH", "")])
    ran = subprocess.run(
        [sys.executable, "-m", "entry_of_test"],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ran.stdout, ran.stderr) == ("[2, 8, 18]\n", "")
