"""What each verb shows on a terminal, as a user sees it, kept in golden/terminal.

`make golden` writes the files anew. Styles stand in them as `<green>running</>`; what had left the
screen at its top stands there too.
"""

from __future__ import annotations

import shlex
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import click
import pytest

from launcher.__main__ import perdure
from tests.launcher.cluster import scenes
from tests.launcher.cluster.fake_cluster import FakeCluster
from tests.launcher.cluster.golden_text import GOLDEN, compare, newcomers_folder, steady
from tests.launcher.cluster.samples import RUN, pod_of, trains
from tests.launcher.cluster.served_cluster import answer
from tests.launcher.kube.api_server import Answer, ApiServer, Request
from tests.launcher.terminal import CTRL_C, Terminal, terminal

WIDE, NARROW = 160, 40


@dataclass(frozen=True)
class Case:
    """A command that ends by itself, and what it meets.

    Attributes:
        name: That of the golden file.
        line: The command line.
        change: What has become of the run.
        code: The exit code.
        columns: The terminal's width.
        environment: What is set there.
    """

    name: str
    line: str
    change: Callable[[FakeCluster], None] = lambda _: None
    code: int = 0
    columns: int = 100
    environment: tuple[tuple[str, str], ...] = ()


SUBMIT = "submit digits --image image:1 --run"
CASES = (
    Case("perdure", ""),
    Case("perdure-narrow", "", columns=NARROW),
    Case("run-unknown", "run nothing", code=64),
    Case("tensorboard-unknown", "tensorboard nothing", code=64),
    Case("validate-wrong", "validate digits --set training.epochs=0", code=64),
    Case("validate", "validate digits"),
    Case("render-help", "render --help"),
    Case("schema-help", "schema --help"),
    Case("monitor-help", "monitor --help"),
    Case("doctor-warning", "doctor digits --set training.epochs=5"),
    Case("submit", f"{SUBMIT} other"),
    Case("submit-refused", f"{SUBMIT} other", scenes.powerless, 77),
    Case("callbacks", "callbacks digits"),
    Case("report", "report small"),
    Case("postmortem", "postmortem small"),
    Case("list", "list", scenes.FAILED),
    Case("list-narrow", "list", scenes.FAILED, columns=NARROW),
    Case("status", f"status {RUN}", scenes.unschedulable),
    Case("status-narrow", f"status {RUN}", scenes.unschedulable, columns=NARROW),
    Case("status-wide", f"status {RUN}", scenes.unschedulable, columns=WIDE),
    Case("status-without-colour", f"status {RUN}", environment=(("NO_COLOR", "1"),)),
    Case("status-help", "status --help"),
    Case("status-unknown", "status nothing", code=64),
    Case("status-json", f"status {RUN} -o json"),
    Case("logs", f"logs {RUN}", scenes.speaking),
    Case("watch-dumb", f"watch {RUN}", scenes.FINISHED, environment=(("TERM", "dumb"),)),
    Case("wait-failed", f"wait {RUN}", scenes.FAILED, 70),
    Case("wait-timeout", f"wait {RUN} --timeout 0", code=75),
    Case("diff", "diff digits --image image:1 --set training.epochs=5", code=1),
    Case("stop", f"stop {RUN}", scenes.stopped),
    Case("resume", f"resume {RUN}"),
    Case("delete", f"delete {RUN}", scenes.stopped),
    Case("prune", "prune --older-than 1h", scenes.FINISHED),
    Case("completion", "completion", code=64),
)
LIVE = (
    "watch-ends", "watch-interrupted", "watch-resized", "watch-narrow", "wait-interrupted",
    "stop-interrupted", "delete-waits", "logs-followed",
    "logs-interrupted",
)  # fmt: skip


@dataclass
class Desk:
    """A newcomer's folder, and a cluster that changes while one looks."""

    folder: Path
    kubeconfig: Path
    cluster: FakeCluster = field(default_factory=scenes.one_run)
    lock: threading.Lock = field(default_factory=threading.Lock)
    told: list[str] = field(default_factory=list)

    def answer(self, request: Request) -> Answer:
        with self.lock:
            return answer(self.cluster, request)

    def change(self, change: Callable[[FakeCluster], object]) -> None:
        with self.lock:
            change(self.cluster)

    @contextmanager
    def type(self, line: str, columns: int = 100, **environment: str) -> Iterator[Terminal]:
        words = tuple(shlex.split(line))
        self.told.append(f"$ {' '.join(['perdure', *words])}\n")
        with terminal(words, self.folder, columns, KUBECONFIG=str(self.kubeconfig), **environment) as typed:
            yield typed

    def look(self, at: Terminal, what: str) -> None:
        """Keeps what the screen shows now, all that was written above it too."""
        screen = at.screen
        self.told.append(f"--- {what} ({screen.columns}x{screen.rows})\n{screen.styled()}\n")

    def end(self, typed: Terminal, code: int, name: str) -> None:
        """Holds the command's end, and all that was kept, to the golden file of that name."""
        assert typed.end() == code, typed.screen.text()
        self.look(typed, f"exit code {code}")
        assert typed.screen.cursor_shown
        assert typed.screen.style == ""
        compare(f"terminal/{name}", steady("".join(self.told), self.folder.parent))


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with ApiServer().running() as server:
        found = Desk(newcomers_folder(tmp_path), server.kubeconfig(tmp_path / "config"))
        server.answer = found.answer
        yield found


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_output(case: Case, desk: Desk) -> None:
    case.change(desk.cluster)
    with desk.type(case.line, case.columns, **dict(case.environment)) as typed:
        desk.end(typed, case.code, case.name)


def later(cluster: FakeCluster) -> None:
    trains(cluster, 4, 9, best=scenes.BEST[:1], phase="validation", metrics={"val_loss": 0.125})


def test_watch_draws_in_place_until_the_end(desk: Desk) -> None:
    with desk.type("watch digits") as typed:
        typed.wait_for("epoch 3/80", ending="n1")
        desk.look(typed, "first")
        desk.change(later)
        typed.wait_for("epoch 4/80", ending="n1")
        desk.look(typed, "an epoch later")
        assert "epoch 3/80" not in typed.screen.text()
        desk.change(scenes.FINISHED)
        desk.end(typed, 0, "watch-ends")


def test_ctrl_c_ends_watch_and_leaves_what_it_showed(desk: Desk) -> None:
    with desk.type(f"watch {RUN}") as typed:
        typed.wait_for("epoch 3/80", ending="n1")
        typed.press(CTRL_C)
        desk.end(typed, 130, "watch-interrupted")


def test_watch_follows_the_size_of_the_terminal(desk: Desk) -> None:
    scenes.unschedulable(desk.cluster)
    with desk.type(f"watch {RUN}") as typed:
        typed.wait_for("last events", ending="nvidia.com/gpu")
        desk.look(typed, "first")
        for columns, epoch in ((NARROW, 4), (WIDE, 5)):
            typed.resize(columns, 30)
            desk.change(lambda cluster, epoch=epoch: trains(cluster, epoch))  # type: ignore[misc]
            typed.wait_for(f"epoch {epoch}/80", "last events", ending="nvidia.com/gpu")
            desk.look(typed, "resized")
        typed.press(CTRL_C)
        desk.end(typed, 130, "watch-resized")


def test_watch_on_a_narrow_terminal(desk: Desk) -> None:
    scenes.unschedulable(desk.cluster)
    with desk.type(f"watch {RUN}", NARROW) as typed:
        typed.wait_for("last events", ending="nvidia.com/gpu")
        desk.look(typed, "first")
        desk.change(scenes.FAILED)
        desk.end(typed, 70, "watch-narrow")


def test_ctrl_c_ends_wait_and_not_the_run(desk: Desk) -> None:
    with desk.type(f"wait {RUN} -n team") as typed:
        typed.wait_for("running")
        desk.change(later)
        typed.wait_for("epoch 4/80", ending="val_loss 0.125")
        typed.press(CTRL_C)
        desk.end(typed, 130, "wait-interrupted")


def test_ctrl_c_ends_stop_and_tells_how_to_wait_again(desk: Desk) -> None:
    with desk.type(f"stop {RUN}") as typed:
        typed.wait_for("worker 0, worker 1", ending="worker 1")
        typed.press(CTRL_C)
        desk.end(typed, 130, "stop-interrupted")


def test_delete_tells_what_it_waits_for(desk: Desk) -> None:
    with desk.type(f"delete {RUN}") as typed:
        typed.wait_for("waiting", ending="gone")
        desk.change(scenes.gone)
        desk.end(typed, 0, "delete-waits")


def test_logs_follows_until_the_end(desk: Desk) -> None:
    scenes.speaking(desk.cluster)
    with desk.type(f"logs -f {RUN}") as typed:
        typed.wait_for("epoch 1/80", ending="loss 2.1")
        desk.change(says("2027-01-15T08:00:04Z epoch 2/80  loss 1.7"))
        typed.wait_for("epoch 2/80")
        desk.change(lambda cluster: cluster.end_pod(pod_of(cluster, 1), 0))
        desk.change(scenes.FINISHED)
        desk.end(typed, 0, "logs-followed")


def test_ctrl_c_ends_logs(desk: Desk) -> None:
    scenes.speaking(desk.cluster)
    with desk.type(f"logs -f {RUN}") as typed:
        typed.wait_for("epoch 1/80", ending="loss 2.1")
        typed.press(CTRL_C)
        desk.end(typed, 130, "logs-interrupted")


def says(line: str) -> Callable[[FakeCluster], None]:
    return lambda cluster: cluster.logs[pod_of(cluster, 0)].append(line)


def test_every_verb_has_its_screen() -> None:
    assert {case.line.partition(" ")[0] for case in CASES} == {
        "",
        *perdure.list_commands(click.Context(perdure)),
    }


def test_every_file_has_its_case() -> None:
    found = {file.stem for file in (GOLDEN / "terminal").glob("*.txt")}
    assert found == {case.name for case in CASES} | set(LIVE)
