"""Runs on a cluster as a user has them: submitted, watched and ended by `perdure`."""

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from launcher.naming import WORKER, run_selector
from tests.cluster.kubectl import Kubectl, Object
from tests.cluster.leader_log import LeaderLog
from tests.cluster.nodes import Nodes

ROOT = Path(__file__).resolve().parents[2]
EXPERIMENTS = Path(__file__).parent / "experiments"
STEADY = EXPERIMENTS / "steady"
EPOCHS = 12
STEPS = 50
"""Of an epoch; both as `steady` has them."""

PLACE = r"first new step.*: epoch (\d+), (.*) step (\d+)$"
"""The line that tells where a run went on."""


def steps_done(place: re.Match[str]) -> int:
    """Training steps of a run that are done at a `PLACE`."""
    in_epoch = int(place[3]) if place[2] == "training" else STEPS
    return (int(place[1]) - 1) * STEPS + in_epoch


@dataclass(frozen=True)
class Team:
    """A namespace with somebody who may submit runs in it, and no more than that.

    Attributes:
        admin: kubectl of the cluster's administrator.
        user: kubectl of that person.
        image: What the runs' pods run.
    """

    admin: Kubectl
    user: Kubectl
    image: str

    @property
    def namespace(self) -> str:
        return self.user.namespace

    def restarts_in_place(self) -> bool:
        """Whether the server knows rules by which a container starts again in a pod that never restarts."""
        server = self.admin.json("version")["serverVersion"]
        return (int(server["major"]), int(server["minor"].rstrip("+"))) >= (1, 35)

    def command(self, verb: str, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "launcher", verb, *arguments, "--namespace", self.namespace]

    def perdure(
        self, verb: str, *arguments: str, code: int | None = 0, seconds: float = 400
    ) -> subprocess.CompletedProcess[str]:
        """Runs a verb as the user.

        Args:
            verb: Its name.
            arguments: What comes behind it.
            code: What it has to end with; None for whatever it ends with.
            seconds: How long it may take.
        """
        ended = subprocess.run(
            self.command(verb, *arguments),
            cwd=ROOT,
            env=self.user.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        told = f"perdure {verb} {' '.join(arguments)}: {ended.returncode}\n{ended.stdout}{ended.stderr}"
        assert code is None or ended.returncode == code, told
        return ended

    def submit(self, run: str, *options: str, experiment: Path = STEADY) -> "TrainingRun":
        """Submits an experiment as a run of this name."""
        self.perdure("submit", str(experiment), "--run", run, "--image", self.image, *options)
        return TrainingRun(self, run)

    def render(self, run: str, *options: str, experiment: Path = STEADY) -> list[str]:
        """What submit would send, an object each, in its order."""
        rendered = self.perdure("render", str(experiment), "--run", run, "--image", self.image, *options)
        return [text for text in re.split(r"^---\n", rendered.stdout, flags=re.MULTILINE) if text]


@dataclass(frozen=True)
class TrainingRun:
    """A run that was submitted.

    Attributes:
        team: Whose it is.
        name: Its name.
    """

    team: Team
    name: str

    @property
    def selector(self) -> str:
        return run_selector(self.name)

    @property
    def leader(self) -> LeaderLog:
        return LeaderLog(self.team.user, f"{self.selector},{WORKER}=0")

    def pods(self, worker: int) -> list[Object]:
        return self.team.user.items("pods", f"{self.selector},{WORKER}={worker}")

    def pods_left(self) -> list[str]:
        """Names of the pods that have not ended."""
        pods = self.team.user.items("pods", self.selector)
        ended = ("Succeeded", "Failed")
        return [pod["metadata"]["name"] for pod in pods if pod["status"]["phase"] not in ended]

    def pod(self, worker: int) -> Object:
        """A worker's pod that runs."""
        running = [
            pod
            for pod in self.pods(worker)
            if pod["status"]["phase"] == "Running" and "deletionTimestamp" not in pod["metadata"]
        ]
        assert len(running) == 1, [pod["metadata"]["name"] for pod in running]
        return running[0]

    def pod_name(self, worker: int) -> str:
        return str(self.pod(worker)["metadata"]["name"])

    def is_placed(self, worker: int, seconds: float = 60) -> None:
        """Waits until a worker's pod has a node."""
        self.team.user.until(
            f"a node for worker {worker}",
            "pods",
            f"{self.selector},{WORKER}={worker}",
            lambda pods: any(pod["spec"].get("nodeName") for pod in pods),
            seconds,
        )

    def trains(self, epoch: int = 2, seconds: float = 300) -> None:
        """Waits until an epoch has ended: what is done then happens in the middle of the next one."""
        self.leader.until(rf"^epoch {epoch}/", seconds)

    @contextmanager
    def healed(self) -> Iterator[None]:
        """Has `perdure wait` look after the run."""
        command = self.team.command("wait", self.name)
        environment = self.team.user.environment()
        with tempfile.TemporaryFile("w+") as output:
            process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=output)
            try:
                yield
                code = process.poll()
            finally:
                process.terminate()
                process.wait()
            output.seek(0)
            assert code in (None, 0), output.read()

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.team.perdure("status", self.name, "-o", "json").stdout)
        return found

    def succeeds(self, seconds: float = 400) -> dict[str, Any]:
        """Waits for the run's end, which has to be success; returns its status then."""
        self.team.perdure("wait", self.name, seconds=seconds)
        return self.status()

    def ends_like(self, digest: str, restarts: int | None = None, seconds: float = 400) -> None:
        """Waits for success, with these very weights, and not a failure counted.

        Args:
            digest: Of the weights of a run that nobody disturbed.
            restarts: How often it was interrupted, where that is certain.
            seconds: How long that may take.
        """
        status = self.succeeds(seconds)
        assert status["weights_digest"] == digest, status
        assert status["epoch"] == EPOCHS, status
        if restarts is not None:
            self.was_interrupted(status, restarts)

    def was_interrupted(self, status: dict[str, Any], times: int) -> None:
        """Its status tells of so many restarts; where not, the message has the leader's words for each."""
        assert status["restarts"] == times, "\n".join([f"{status['restarts']} restarts", *self._ends()])

    def has_lost_no_step(self) -> None:
        """The step after the last interruption is the one that follows the checkpoint taken at it."""
        saved, resumed, went_on = 0, 0, 0
        for line in self.leader.lines():
            if line.text.startswith("attempt ") and line.text.endswith(" started"):
                resumed = saved
            if found := re.search(r"^checkpoint at step (\d+)", line.text):
                saved = int(found[1])
            if found := re.search(PLACE, line.text):
                went_on = steps_done(found)
        assert resumed > 0
        assert resumed <= went_on <= resumed + 1, (resumed, went_on)

    def kinds_of_interruptions(self) -> set[str]:
        """How the leader that is there now has judged the attempts that ended while it led."""
        return {text.partition("(")[2].partition(")")[0] for text in self._ends()}

    def _ends(self) -> list[str]:
        return [line.text for line in self.leader.lines() if " ended (" in line.text]


def placed_apart(team: Team, nodes: Nodes, name: str, where: Mapping[int, str], *options: str) -> TrainingRun:
    """Submits `steady`, each of its two workers to a node of its own.

    Worker 1's Job comes first, as in a submit that was broken off; submitting again completes it.

    Args:
        team: Whose run it is.
        nodes: Of the cluster.
        name: Of the run.
        where: Node by worker.
        options: Of `submit`.
    """
    *others, _ = team.render(name, *options)
    run = TrainingRun(team, name)
    with nodes.cordoned(where[0]):
        team.user.run(
            "apply", "--server-side", "--field-manager=perdure", "-f", "-", stdin="---\n".join(others)
        )
        run.is_placed(1)
    with nodes.cordoned(where[1]):
        team.submit(name, *options)
        run.is_placed(0)
    assert {each: run.pods(each)[0]["spec"]["nodeName"] for each in where} == dict(where)
    return run
