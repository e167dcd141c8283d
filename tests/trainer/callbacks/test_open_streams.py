"""Which sinks the streams of an experiment get, in a run and in a dry run."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from trainer import fit
from trainer.callbacks.open_streams import open_streams
from trainer.contract.run_directory import RunDirectory
from trainer.contract.training import StepStream

SPECS = [StepStream(to="file"), StepStream(to="http"), StepStream(to="sinks.py:send")]


@pytest.fixture
def posts(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bytes]]:
    """What a real server at the address of the environment was sent."""
    bodies: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("TELEMETRY_URL", f"http://127.0.0.1:{server.server_address[1]}/steps")
    yield bodies
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("dry", [False, True])
def test_a_dry_run_gives_records_to_the_file_alone(dry: bool, posts: list[bytes], tmp_path: Path) -> None:
    taken: list[Any] = []
    asked: list[str] = []

    def load(reference: str) -> Any:
        asked.append(reference)
        return taken.extend

    run = RunDirectory(str(tmp_path))
    streams = open_streams(SPECS, run, load, dry=dry)
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    x = np.ones((8, 1), "float32")
    fit(model, x, x, batch_size=2, epochs=1, verbose=0, callbacks=streams)
    assert len(list(Path(run.steps).iterdir())) == 1
    assert asked == ["sinks.py:send"], "a function that is not there is a mistake, dry or not"
    sent = 0 if dry else 4
    assert len(taken) == sent
    assert sum(body.count(b"\n") for body in posts) == sent
    assert [stream.in_effect() for stream in streams] == [True] * 3
    assert [stream.lost_records for stream in streams] == [0] * 3


def test_an_address_that_is_missing_is_missed_in_a_dry_run_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TELEMETRY_URL", raising=False)
    assert open_streams([StepStream(to="http")], RunDirectory(str(tmp_path)), lambda _: print, dry=True) == []
