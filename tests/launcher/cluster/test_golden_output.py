"""What each verb prints in a pipe, as a user reads it, kept in golden/: a change of it shows in a diff.

`PERDURE_WRITE_GOLDEN=1 pytest tests/launcher/cluster/test_golden_output.py` writes the files anew.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from launcher.__main__ import run
from launcher.submission import submit
from tests.launcher.cluster.fake_cluster import FakeCluster
from tests.launcher.cluster.samples import EXPERIMENT, JOBS, RUN, last_word, plan, pod_of, trains
from tests.launcher.cluster.served_cluster import answer
from tests.launcher.kube.api_server import ApiServer
from trainer.contract.progress import Best

GOLDEN = Path(__file__).parent / "golden"
WRITES = bool(os.environ.get("PERDURE_WRITE_GOLDEN"))
BEST = (Best("val_loss", 0.0725, 59), Best("val_accuracy", 0.983, 44))


def one_run() -> FakeCluster:
    """A run that was submitted a while ago, and trains."""
    cluster = FakeCluster()
    cluster.now = time.time() - 3 * 3600 - 120
    submit(cluster, plan(), named=True)
    for worker in range(2):
        cluster.add_node(f"n{worker}")
        cluster.add_pod(RUN, worker)
    trains(cluster, 3, 7, best=BEST[:1], phase="training", metrics={"val_loss": 0.25})
    return cluster


def ended(code: int, **more: object) -> Callable[[FakeCluster], None]:
    def change(cluster: FakeCluster) -> None:
        cluster.end_pod(pod_of(cluster, 0), code, last_word(code, best=BEST, **more))
        for worker in range(2):
            cluster.finish_job(RUN, worker, "Failed" if code else "Complete")

    return change


def stopped(cluster: FakeCluster) -> None:
    for worker in range(2):
        cluster.remove_pod(pod_of(cluster, worker))


def unschedulable(cluster: FakeCluster) -> None:
    pod = pod_of(cluster, 1)
    message = "0/2 nodes are available: 2 Insufficient nvidia.com/gpu. preemption: 0/2 nodes are available."
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    cluster.set_pod(pod, phase="Pending", state={}, conditions=(condition,))
    cluster.objects["Pod", pod]["spec"] = {}
    cluster.add_event("Pod", pod, "FailedScheduling", message)


def over_quota(cluster: FakeCluster) -> None:
    stopped(cluster)
    cluster.logs.clear()
    refused = "exceeded quota: small, requested: pods=1, used: pods=4, limited: pods=4"
    for job in JOBS:
        cluster.add_event("Job", job, "FailedCreate", f'Error creating: pods "x" is forbidden: {refused}')


def speaking(cluster: FakeCluster) -> None:
    cluster.logs = {
        pod_of(cluster, 0): [
            "2027-01-15T08:00:01Z attempt 1 started",
            "2027-01-15T08:00:03Z epoch 1/80  loss 2.1",
        ],
        pod_of(cluster, 1): ["2027-01-15T08:00:02Z linked to mine-leader:7460"],
    }


def blind(cluster: FakeCluster) -> None:
    cluster.denied = {("list", "pods"), ("list", "events")}


@dataclass(frozen=True)
class Case:
    name: str
    words: tuple[str, ...]
    change: Callable[[FakeCluster], None] = lambda _: None
    code: int = 0


TRACEBACK = "Traceback (most recent call last):\n  File model.py, line 3\nNameError: name 'x' is not defined"
SUBMIT = ("submit", str(EXPERIMENT), "--image", "image:1", "--run")
FINISHED = ended(0, weights_digest="68e09afa", stopped_by="early_stopping", reason="val_loss did not improve")
FAILED = ended(70, reason="NameError: name 'x' is not defined (model.py, line 3)", traceback=TRACEBACK)
CASES = (
    Case("submit", (*SUBMIT, "other")),
    Case("submit-dry-run", (*SUBMIT, "other", "--dry-run", "client")),
    Case("submit-of-another", (*SUBMIT, RUN, "--set", "training.epochs=5"), code=78),
    Case("list", ("list",)),
    Case("list-everywhere", ("list", "-A"), FINISHED),
    Case("status-running", ("status", RUN)),
    Case("status-unschedulable", ("status", RUN), unschedulable),
    Case("status-quota", ("status", RUN), over_quota),
    Case("status-back-off", ("status", RUN), stopped),
    Case("status-succeeded", ("status", RUN), FINISHED),
    Case("status-failed", ("status", RUN), FAILED),
    Case("status-blind", ("status", RUN), blind),
    Case("status-yaml", ("status", RUN, "-o", "yaml"), unschedulable),
    Case("logs", ("logs", RUN), speaking),
    Case("watch", ("watch", RUN), FINISHED),
    Case("wait-failed", ("wait", RUN), FAILED, 70),
    Case("stop", ("stop", RUN), stopped),
    Case("resume", ("resume", RUN)),
    Case("diff", ("diff", str(EXPERIMENT), "--image", "image:1", "--set", "training.epochs=5"), code=1),
    Case("prune", ("prune", "--older-than", "1h"), FINISHED),
    Case("prune-yes", ("prune", "--older-than", "1h", "--yes"), FINISHED),
    Case("delete", ("delete", RUN)),
    Case("no-such-run", ("status", "yours"), code=64),
)


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ApiServer]:
    with ApiServer().running() as running:
        monkeypatch.setenv("KUBECONFIG", str(running.kubeconfig(tmp_path / "config")))
        monkeypatch.chdir(tmp_path)
        yield running


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_output(case: Case, server: ApiServer, capsys: pytest.CaptureFixture[str]) -> None:
    cluster = one_run()
    case.change(cluster)
    if case.name == "delete":
        stopped(cluster)
    server.answer = lambda request: answer(cluster, request)
    code = run(case.words)
    told = capsys.readouterr()
    assert code == case.code, told
    text = _steady(f"$ perdure {' '.join(case.words)}\n{told.out}{told.err}exit code {code:d}\n")
    file = GOLDEN / f"{case.name}.txt"
    if WRITES:
        file.write_text(text)
    assert text == file.read_text()


def test_every_file_has_its_case() -> None:
    assert {file.stem for file in GOLDEN.glob("*.txt")} == {case.name for case in CASES}


def _steady(text: str) -> str:
    """Without what differs from one run of the tests to the next."""
    text = text.replace(str(EXPERIMENT), "experiments/digits")
    text = re.sub(r"\d\d:\d\d:\d\d UTC", "12:00:00 UTC", text)
    text = re.sub(r"(?m)^(\s+time:) [0-9.]+$", r"\1 0", text)
    return re.sub(r"(?m)(^|  | )\S*/perdure (?=\w)", r"\1perdure ", text)
