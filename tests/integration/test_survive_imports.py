"""A standby imports ahead what the experiment imports: no bit depends on it, whatever the library does."""

import os
import signal
import textwrap
import time
from collections.abc import Callable
from functools import cache
from hashlib import sha256
from pathlib import Path

import pytest

from tests.chaos.comparison import differences
from tests.integration.real_run import RealRun
from trainer import user_code
from trainer.contract.messages import Started

pytestmark = [pytest.mark.processes, pytest.mark.timeout(900)]

# Tells that it was imported; in standbys, where a test asks for it, only when it is told to go on.
LIBRARY = """
    import os, time
    from pathlib import Path
    import numpy, tensorflow

    folder = Path(__file__).parent
    (folder / f"imported-{os.getpid()}").touch()
    while (folder / "wait").exists() and not (folder / "go-on").exists():
        time.sleep(0.01)
"""

# The data depend on how many numbers were drawn before.
DATA = """
    import numpy as np
    import library

    def load(parameters, context):
        x = np.random.normal(size=(240, 4)).astype("float32")
        y = x.sum(axis=1, keepdims=True)
        return (x[:192], y[:192]), (x[192:], y[192:])
"""

# The first attempt waits in its second epoch until the test has done what it wants to do to it.
CALLBACKS = """
    import os, time
    from pathlib import Path
    import keras

    class Pause(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            while epoch == 1 and not Path(__file__).with_name("killed").exists():
                time.sleep(0.01)

    def make():
        return Pause()
"""

HARMLESS = {"does nothing": "", "draws from a generator of its own": "numpy.random.default_rng(3).random()"}
HARMFUL = {
    "draws random numbers": "numpy.random.random()",
    "opens TensorFlow's devices": "tensorflow.constant(1.0) + 1",
    "may fail where the experiment does not": "assert 'PERDURE_EXPERIMENT_FOLDER' in os.environ",
}
CHANGING = (HARMFUL["draws random numbers"],)
"""After these the data are others."""
CONFIGURING = {"sets a variable": "os.environ['LIBRARY'] = 'imported'"}


class ImportingRun(RealRun):
    """A run whose data function needs a library."""

    def __init__(self, folder: Path, code: str) -> None:
        """Writes the library, which ends with `code`."""
        self.libraries = folder / "libraries"
        experiment = folder / "experiment"
        for name, content in (
            (self.libraries / "library.py", textwrap.dedent(LIBRARY) + code),
            (experiment / "callbacks.py", textwrap.dedent(CALLBACKS)),
        ):
            name.parent.mkdir(parents=True, exist_ok=True)
            name.write_text(content)
        super().__init__(folder, "callbacks.custom=[callbacks.py:make]", epochs=4)
        (experiment / "data.py").write_text(textwrap.dedent(DATA))
        self.killed = experiment / "killed"

    def importers(self) -> set[int]:
        """Ids of all processes that have imported the library."""
        assert self.libraries is not None
        return {int(path.name.partition("-")[2]) for path in self.libraries.glob("imported-*")}

    def trained(self, attempt: int) -> set[int]:
        """Ids of the training processes of an attempt."""
        return {self.of(Started, worker)[attempt - 1].pid for worker in (0, 1)}

    def wait_until_imported_ahead(self) -> set[int]:
        """Ids of the standbys that have imported the library, one a worker, or began to."""
        trained = self.trained(1)
        deadline = time.monotonic() + self.patience
        while len(self.importers() - trained) < 2:
            assert time.monotonic() < deadline, self.heard[-12:]
            time.sleep(0.05)
        return self.importers() - trained

    def kill(self) -> None:
        """Kills a training process, and lets those that follow go on."""
        os.kill(self.training_pid(1), signal.SIGKILL)
        self.killed.touch()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """The directory of a run that was let alone; one for all codes that have the same bits."""
    folder = tmp_path_factory.mktemp("undisturbed")

    @cache
    def run_once(code: str) -> str:
        with ImportingRun(folder / sha256(code.encode()).hexdigest()[:8], code) as run:
            run.killed.touch()
            run.wait_until_finished()
        assert run.attempts == [1]
        return str(run.directory)

    return lambda code: run_once(code if code in CHANGING else "")


@pytest.mark.parametrize("does", HARMLESS)
def test_a_harmless_library_is_imported_ahead(
    does: str, undisturbed: Callable[[str], str], tmp_path: Path
) -> None:
    with ImportingRun(tmp_path / "killed", HARMLESS[does]) as run:
        run.wait_until_training(1)
        standbys = run.wait_until_imported_ahead()
        run.kill()
        run.wait_until_finished()
    assert run.attempts == [1, 2]
    assert run.trained(2) == standbys
    assert differences(undisturbed(HARMLESS[does]), str(run.directory)) == []


@pytest.mark.parametrize("does", HARMFUL)
def test_a_standby_that_was_changed_is_used_neither_as_it_waits_nor_as_it_imports(
    does: str, undisturbed: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Whoever starts a run may have loaded an experiment's code itself.
    monkeypatch.setenv(user_code.VARIABLE, "/nowhere")
    with ImportingRun(tmp_path / "waiting", HARMFUL[does]) as waiting:
        waiting.wait_until_training(1)
        spoilt = waiting.wait_until_imported_ahead()
        waiting.kill()
        waiting.wait_until_finished()
    with ImportingRun(tmp_path / "importing", HARMFUL[does]) as importing:
        importing.wait_until_training(1)
        assert importing.libraries is not None
        (importing.libraries / "wait").touch()
        spoilt |= importing.wait_until_imported_ahead()
        importing.kill()
        importing.wait_for(lambda: importing.attempts == [1, 2])
        (importing.libraries / "go-on").touch()
        importing.wait_until_finished()
    expected = undisturbed(HARMFUL[does])
    for run in (waiting, importing):
        assert run.attempts == [1, 2]
        assert not run.trained(2) & spoilt
        assert differences(expected, str(run.directory)) == []


@pytest.mark.parametrize("does", CONFIGURING)
def test_a_library_that_sets_what_others_may_read_is_not_imported_ahead(
    does: str, undisturbed: Callable[[str], str], tmp_path: Path
) -> None:
    with ImportingRun(tmp_path / "killed", CONFIGURING[does]) as run:
        run.wait_until_training(1)
        run.kill()
        run.wait_until_finished()
    assert run.attempts == [1, 2]
    assert run.importers() == run.trained(1) | run.trained(2)
    assert differences(undisturbed(CONFIGURING[does]), str(run.directory)) == []
