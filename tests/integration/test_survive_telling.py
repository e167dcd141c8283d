"""Runs that tell people and keep predictions: the same run as one that does neither, whatever is killed."""

import csv
import json
import os
import signal
import socket
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.integration.real_run import STEPS_PER_EPOCH, RealRun
from tests.trainer.supervisor.notifications.webhook import SECRET, Webhook
from trainer.contract.telemetry import Delivery, Notified

pytestmark = [pytest.mark.processes, pytest.mark.timeout(900)]

EPOCHS = 5
ROWS = 48
VARIABLES = ("HOOK", "DEAD", "BROKEN", "SLOW")
ENTRIES = [
    {
        "to": "webhook",
        "variable": variable,
        "on": ["start", "end", "failure", "restart", "stall", "stop"],
        "when": ["val_loss < 1e9", "val_loss < 0"],
    }
    for variable in VARIABLES
]
SETTINGS = (
    "callbacks.early_stopping=false",
    "callbacks.predictions=true",
    'callbacks.stream=[{"to": "file"}]',
    f"notifications={json.dumps(ENTRIES)}",
)
PLAIN = ("callbacks.early_stopping=false",)


def finished(run: RealRun) -> dict[str, Any]:
    run.wait_until_finished()
    assert run.final_exits() == {0: 0, 1: 0}
    return dict(json.loads((run.directory / "result.json").read_text()))


def rows_of_csv(directory: Path) -> list[dict[str, str]]:
    """Every column but wall-clock time."""
    text = (directory / "logs" / "training.csv").read_text()
    rows = csv.DictReader(text.splitlines())
    return [{key: value for key, value in row.items() if not key.endswith("_seconds")} for row in rows]


def predictions(directory: Path) -> dict[str, list[tuple[Any, ...]]]:
    found = {}
    for path in sorted((directory / "predictions").iterdir()):
        with sqlite3.connect(path) as database:
            columns = "row, prediction, target"
            found[path.name] = database.execute(f"SELECT {columns} FROM predictions ORDER BY row").fetchall()
    return found


def steps(directory: Path) -> list[tuple[int, int]]:
    lines = [
        line
        for path in sorted((directory / "logs" / "steps").iterdir())
        for line in path.read_text().splitlines()
    ]
    return [(record["epoch"], record["step"]) for record in map(json.loads, lines)]


def occasions(webhook: Webhook) -> list[str]:
    return [body["id"].partition("/")[2].partition("-")[0] for body in webhook.bodies]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], list[dict[str, str]]]:
    folder = tmp_path_factory.mktemp("plain")
    with RealRun(folder, *PLAIN, epochs=EPOCHS) as run:
        return finished(run), rows_of_csv(run.directory)


@pytest.fixture
def webhooks(monkeypatch: pytest.MonkeyPatch) -> Any:
    """One that answers, and three that do not: nobody there, one that is broken, one that never answers."""
    with (
        Webhook() as hook,
        Webhook(*[500] * 1000) as broken,
        Webhook(*[None] * 1000) as slow,
        socket.socket() as probe,
    ):
        probe.bind(("127.0.0.1", 0))
        dead = f"http://127.0.0.1:{probe.getsockname()[1]}/{SECRET}"
        for variable, url in zip(VARIABLES, (hook.url, dead, broken.url, slow.url), strict=True):
            monkeypatch.setenv(variable, url)
        yield hook


def test_a_run_whose_webhooks_fail_is_the_run_without_them(
    plain: tuple[dict[str, Any], list[dict[str, str]]], webhooks: Webhook, tmp_path: Path
) -> None:
    with RealRun(tmp_path, *SETTINGS, epochs=EPOCHS) as run:
        result = finished(run)
    assert run.attempts == [1]
    assert result["weights_digest"] == plain[0]["weights_digest"]
    assert rows_of_csv(run.directory) == plain[1]
    assert occasions(webhooks) == ["started", "when", "finished"]
    told = run.of(Notified)
    assert sum(each.delivery is Delivery.DELIVERED for each in told) == 3
    # Of each of the others it is known what was lost.
    lost = [each.channel for each in told if each.delivery is not Delivery.DELIVERED]
    assert sorted(lost) == sorted([f"webhook-{name}" for name in VARIABLES[1:]] * 3)


def test_the_predictions_are_those_of_the_weights_and_in_the_order_of_the_data(
    webhooks: Webhook, tmp_path: Path
) -> None:
    del webhooks
    with RealRun(tmp_path, *SETTINGS, epochs=2) as run:
        result = finished(run)
    found = predictions(run.directory)
    assert list(found) == ["00001.sqlite", "00002.sqlite"]
    x = np.random.default_rng(0).normal(size=(240, 4)).astype("float32")
    targets = x.sum(axis=1)[192:].tolist()
    for epoch, rows in enumerate(found.values()):
        assert [row for row, _, _ in rows] == list(range(ROWS))
        assert [target for _, _, target in rows] == targets
        error = np.mean([(value - target) ** 2 for _, value, target in rows])
        assert error == pytest.approx(result["history"]["val_loss"][epoch], rel=1e-5)


def test_a_killed_run_tells_nothing_twice_and_predicts_the_same(
    plain: tuple[dict[str, Any], list[dict[str, str]]], webhooks: Webhook, tmp_path: Path
) -> None:
    settings = (*SETTINGS, 'checkpoint.every={"steps": 7}')
    with RealRun(tmp_path / "whole", *settings, epochs=EPOCHS) as run:
        whole = finished(run)
    expected = predictions(run.directory)
    assert list(expected) == [f"{epoch:05d}.sqlite" for epoch in range(1, EPOCHS + 1)]
    every_step = [(epoch, step) for epoch in range(1, EPOCHS + 1) for step in range(1, STEPS_PER_EPOCH + 1)]
    assert steps(run.directory) == every_step
    webhooks.bodies.clear()
    with RealRun(tmp_path / "killed", *settings, epochs=EPOCHS) as run:
        run.wait_until_training(1)
        os.kill(run.training_pid(1), signal.SIGKILL)
        run.wait_until_training(2)
        run.processes[0].kill()
        run.wait_until_training(3)
        os.kill(run.training_pid(0), signal.SIGKILL)
        killed = finished(run)
    assert killed["weights_digest"] == whole["weights_digest"] == plain[0]["weights_digest"]
    assert rows_of_csv(run.directory) == plain[1]
    assert predictions(run.directory) == expected
    assert steps(run.directory) == every_step
    ids = [body["id"] for body in webhooks.bodies]
    assert len(ids) == len(set(ids))
    # A busy machine may have lost one more attempt.
    lost = max(run.attempts) - 1
    assert lost >= 3
    assert sorted(occasions(webhooks)) == ["finished", *["interrupted"] * lost, "started", "when"]
