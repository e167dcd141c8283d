"""What a webhook that fails costs a run: whole runs that tell it, beside the same run that tells nobody."""

import json
import os
import socket
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from benchmarks.comparison import Comparison, alternating
from benchmarks.processes import output

EXPERIMENT = "experiments/biopsies"
TARGET = 1.05
"""Training takes the same time; what is more is the machine's noise."""
SLOW_SECONDS = 30.0
_VARIABLE = "BENCHMARK_WEBHOOK"
_CONDITIONS = ["loss < 1e9", "val_loss < 1e9", "loss < 1e9 and val_loss < 1e9"]
"""They hold at the first epoch's end: three messages more, of which each may be tried again and again."""


@dataclass(frozen=True)
class Outcome:
    """What one run took, and lost.

    Attributes:
        training: Seconds of its epochs, validation and callbacks included.
        whole: Seconds of the command, in whose end what is left to be told has two.
        lost: Notifications that did not arrive, by cause.
    """

    training: float
    whole: float
    lost: Mapping[str, int]


@contextmanager
def _dead() -> Iterator[str]:
    """A port on which nobody listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{held.getsockname()[1]}/"


@contextmanager
def _server(pause: float, status: int) -> Iterator[str]:
    """One that answers each request with a status, after so many seconds."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            """Reads, waits, answers; whoever asked may have gone meanwhile."""
            self.rfile.read(int(self.headers["Content-Length"]))
            closed.wait(pause)
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Prints nothing."""

    closed = threading.Event()
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        server.block_on_close = False
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            closed.set()
            server.shutdown()


WEBHOOKS: Mapping[str, Callable[[], AbstractContextManager[str]]] = {
    "nobody listens": _dead,
    f"answers after {SLOW_SECONDS:.0f} s": partial(_server, SLOW_SECONDS, 200),
    "answers 500": partial(_server, 0.0, 500),
}


def measure(pairs: int, quick: bool) -> dict[str, object]:
    """Each webhook in pairs of its own; events.jsonl tells what was lost."""
    comparisons: list[Comparison] = []
    rows = [("Webhook", "Lost in each run, by cause")]
    for name, webhook in WEBHOOKS.items():
        with webhook() as url, tempfile.TemporaryDirectory() as storage:
            run = partial(_run, Path(storage), quick)
            compared = list(alternating(pairs, partial(run, url), partial(run, None)))
        comparisons += [_compare(name, compared, "training", TARGET), _compare(name, compared, "whole", None)]
        rows.append((name, "; ".join(_counts(ours.lost) for ours, _ in compared)))
    note = (
        f"`{EXPERIMENT}` on one worker; {2 + len(_CONDITIONS)} messages a run. A supervisor that ends gives "
        "what is left 2 seconds, which are in the whole run."
    )
    return {"comparisons": comparisons, "tables": [rows], "notes": [note]}


def _compare(
    name: str, compared: list[tuple[Outcome, Outcome]], part: str, target: float | None
) -> Comparison:
    ours, theirs = zip(*compared, strict=True)
    words = {"training": "training", "whole": "the whole run"}[part]
    return Comparison(
        f"{words}, the webhook: {name}",
        tuple(getattr(each, part) for each in ours),
        "no notifications",
        tuple(getattr(each, part) for each in theirs),
        target,
    )


def _counts(lost: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {cause}" for cause, count in sorted(lost.items())) or "none"


def _run(storage: Path, quick: bool, url: str | None) -> Outcome:
    name = f"run-{len(list(storage.glob('*.done')))}"
    common = ("--storage", str(storage))
    settings = ["callbacks.early_stopping=false", f"training.epochs={4 if quick else 80}"]
    if url is not None:
        settings.append(f"notifications={json.dumps([_entry()])}")
    options = [word for setting in settings for word in ("--set", setting)]
    command = (sys.executable, "-m", "launcher", "run", EXPERIMENT, "--run", name, *common, *options)
    began = time.perf_counter()
    output(*command, environment={**os.environ, _VARIABLE: url or ""})
    whole = time.perf_counter() - began
    told = output(sys.executable, "-m", "launcher", "postmortem", name, *common, "-o", "json")
    (storage / f"{name}.done").touch()
    return Outcome(json.loads(told)["runs"][0]["epochs_seconds"], whole, _lost(storage, name))


def _entry() -> dict[str, Any]:
    return {"to": "webhook", "variable": _VARIABLE, "on": ["start", "end"], "when": _CONDITIONS}


def _lost(storage: Path, name: str) -> dict[str, int]:
    (events,) = storage.rglob(f"{name}/events.jsonl")
    told = [json.loads(line) for line in events.read_text().splitlines()]
    return dict(Counter(event["cause"] for event in told if event["kind"] == "notification_lost"))
