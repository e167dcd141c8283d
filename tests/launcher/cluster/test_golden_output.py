"""What each verb prints in a pipe, as a user reads it, kept in golden/: a change of it shows in a diff.

`make golden` writes the files anew. A line of standard error begins with `2>` in them.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import click
import pytest

from launcher.__main__ import perdure, run
from tests.launcher.cluster import scenes
from tests.launcher.cluster.fake_cluster import FakeCluster
from tests.launcher.cluster.golden_text import GOLDEN, compare, newcomers_folder, steady
from tests.launcher.cluster.samples import RUN
from tests.launcher.cluster.served_cluster import answer
from tests.launcher.kube.api_server import ApiServer


@dataclass(frozen=True)
class Case:
    """A command, and what it meets.

    Attributes:
        name: That of the golden file.
        words: The command line.
        change: What has become of the run.
        code: The exit code.
        lines: So many lines of the output are kept; what it is in full, other tests tell.
    """

    name: str
    words: tuple[str, ...]
    change: Callable[[FakeCluster], None] = lambda _: None
    code: int = 0
    lines: int | None = None


SUBMIT = ("submit", "digits", "--image", "image:1", "--run")
SHORT = ("--set", "training.epochs=5")
CASES = (
    Case("validate", ("validate", "digits")),
    Case("validate-wrong", ("validate", "digits", "--set", "training.epochs=0"), code=64),
    Case("validate-json", ("validate", "digits", "--set", "training.epochs=0", "-o", "json"), code=64),
    Case("callbacks", ("callbacks", "digits")),
    Case("callbacks-json", ("callbacks", "digits", "-o", "json"), lines=22),
    Case("schema", ("schema",), lines=8),
    Case("render", ("render", "digits", "--run", "other", "--image", "image:1"), lines=12),
    Case("doctor", ("doctor", "digits")),
    Case("doctor-warning", ("doctor", "digits", *SHORT)),
    Case("doctor-ignored", ("doctor", "digits", *SHORT, "--ignore", "patience-too-long=a try")),
    Case("doctor-cluster", ("doctor",)),
    Case("doctor-json", ("doctor", "digits", *SHORT, "-o", "json")),
    Case("submit", (*SUBMIT, "other")),
    Case("submit-again", (*SUBMIT, RUN)),
    Case("submit-dry-run", (*SUBMIT, "other", "--dry-run", "client")),
    Case("submit-of-another", (*SUBMIT, RUN, *SHORT), code=78),
    Case("submit-refused", (*SUBMIT, "other"), scenes.powerless, code=77),
    Case("report", ("report", "small")),
    Case("report-several", ("report", "digits/small", "runs/digits/older")),
    Case("postmortem", ("postmortem", "small")),
    Case("list", ("list",)),
    Case("list-everywhere", ("list", "-A"), scenes.FINISHED),
    Case("list-empty", ("list",), scenes.gone),
    Case("list-json", ("list", "-o", "json"), scenes.FINISHED),
    Case("list-name", ("list", "-o", "name")),
    Case("status-running", ("status", RUN)),
    Case("status-unschedulable", ("status", RUN), scenes.unschedulable),
    Case("status-quota", ("status", RUN), scenes.over_quota),
    Case("status-back-off", ("status", RUN), scenes.stopped),
    Case("status-succeeded", ("status", RUN), scenes.FINISHED),
    Case("status-failed", ("status", RUN), scenes.FAILED),
    Case("status-blind", ("status", RUN), scenes.blind),
    Case("status-yaml", ("status", RUN, "-o", "yaml"), scenes.unschedulable),
    Case("status-name", ("status", "digits", "-o", "name")),
    Case("logs", ("logs", RUN), scenes.speaking),
    Case("logs-of-experiment", ("logs", "digits", "--worker", "1"), scenes.speaking),
    Case("watch", ("watch", RUN), scenes.FINISHED),
    Case("wait-succeeded", ("wait", "digits"), scenes.FINISHED),
    Case("wait-failed", ("wait", RUN), scenes.FAILED, 70),
    Case("wait-timeout", ("wait", RUN, "--timeout", "0"), code=75),
    Case("stop", ("stop", RUN), scenes.stopped),
    Case("stop-finished", ("stop", RUN), scenes.FINISHED),
    Case("resume", ("resume", RUN)),
    Case("resume-finished", ("resume", RUN), scenes.FINISHED),
    Case("diff", ("diff", "digits", "--image", "image:1", *SHORT), code=1),
    Case("diff-same", ("diff", "digits", "--image", "image:1")),
    Case("prune", ("prune", "--older-than", "1h"), scenes.FINISHED),
    Case("prune-yes", ("prune", "--older-than", "1h", "--yes"), scenes.FINISHED),
    Case("prune-nothing", ("prune",)),
    Case("delete", ("delete", RUN), scenes.stopped),
    Case("completion", ("completion", "bash"), lines=4),
)
VERBS = perdure.list_commands(click.Context(perdure))
HELP = tuple(Case(f"help/{verb or 'perdure'}", (*filter(None, [verb]), "--help")) for verb in ("", *VERBS))
MISTAKES = {
    "perdure": ("stats", "--versio"),
    "run": ("run", "run nothing", "run digits --workers 7", "run digits --set training.epoch=5"),
    "validate": ("validate", "validate nothing"),
    "callbacks": ("callbacks", "callbacks nothing", "callbacks digits -o wide"),
    "render": ("render", "render nothing", "render digits --kube-version 1.20", "render digits --run Mine"),
    "doctor": ("doctor nothing", "doctor --offline", "doctor digits --ignore a=b"),
    "schema": ("schema digits",),
    "submit": ("submit", "submit nothing", "submit digits --dry-run", "submit digits --context none"),
    "report": ("report", "report nothing", "report digits smal -o none/x.html", "report gs://bucket/digits/a"),
    "postmortem": ("postmortem", "postmortem nothing", "postmortem small -o yaml"),
    "list": ("list -o wide", "list --context none"),
    "status": ("status", "status nothing"),
    "watch": ("watch", "watch nothing"),
    "wait": ("wait", "wait nothing", "wait mine --timeout soon"),
    "logs": ("logs", "logs nothing", "logs mine --since x", "logs mine --tail -1"),
    "diff": ("diff", "diff nothing", "diff digits --run nothing"),
    "stop": ("stop", "stop nothing", "stop digits"),
    "resume": ("resume", "resume nothing"),
    "delete": ("delete", "delete nothing", "delete mine --run-directory other", "delete a --run-directory a"),
    "prune": ("prune --older-than soon", "prune --keep -1"),
    "completion": ("completion", "completion tcsh"),
    "monitor": ("monitor mine", "monitor --port 70000"),
    "tensorboard": ("tensorboard", "tensorboard nothing", "tensorboard a b", "tensorboard digits --port 0"),
}  # fmt: skip
NO_CLUSTER = (
    "doctor", "submit digits", "list", "status mine", "watch mine", "wait mine", "logs mine", "diff digits",
    "stop mine", "resume mine", "delete mine", "prune",
)  # fmt: skip


@dataclass
class Pipe:
    """Types commands in the folder of a newcomer, and keeps what they print."""

    server: ApiServer
    folder: Path
    capsys: pytest.CaptureFixture[str]
    told: list[str] = field(default_factory=list)

    def type(self, case: Case) -> None:
        cluster = scenes.one_run()
        case.change(cluster)
        self.server.answer = lambda request: answer(cluster, request)
        code = run(case.words)
        told = self.capsys.readouterr()
        assert code == case.code, told
        out = told.out.splitlines(keepends=True)
        kept = out if case.lines is None or len(out) <= case.lines else [*out[: case.lines], "…\n"]
        err = [f"2> {line}" for line in told.err.splitlines(keepends=True)]
        self.told += [f"$ {shlex.join(('perdure', *case.words))}\n", *kept, *err, f"exit code {code:d}\n"]

    def compare(self, name: str) -> None:
        compare(name, steady("".join(self.told), self.folder))


@pytest.fixture
def pipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Pipe]:
    with ApiServer().running() as server:
        monkeypatch.setenv("KUBECONFIG", str(server.kubeconfig(tmp_path / "config")))
        monkeypatch.setenv("COLUMNS", "80")
        monkeypatch.chdir(newcomers_folder(tmp_path))
        yield Pipe(server, tmp_path, capsys)


@pytest.mark.parametrize("case", [*CASES, *HELP], ids=lambda case: case.name)
def test_output(case: Case, pipe: Pipe) -> None:
    pipe.type(case)
    pipe.compare(case.name)


@pytest.mark.parametrize("verb", MISTAKES)
def test_mistakes(verb: str, pipe: Pipe) -> None:
    for line in MISTAKES[verb]:
        pipe.type(Case("", tuple(line.split()), code=64))
    pipe.compare(f"mistakes/{verb}")


def test_without_a_cluster(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(pipe.folder / "none"))
    for line in NO_CLUSTER:
        pipe.type(Case("", tuple(line.split()), code=64))
    pipe.compare("mistakes/no-cluster")


def test_every_verb_has_its_texts() -> None:
    assert {case.words[0] for case in CASES} == set(VERBS) - {"run", "monitor", "tensorboard"}
    assert set(MISTAKES) == {*VERBS, "perdure"}


def test_every_file_has_its_case() -> None:
    known = {case.name for case in (*CASES, *HELP)} | {
        f"mistakes/{name}" for name in (*MISTAKES, "no-cluster")
    }
    found = {
        str(file.relative_to(GOLDEN).with_suffix(""))
        for folder in (".", "help", "mistakes")
        for file in (GOLDEN / folder).glob("*.txt")
    }
    assert found == known
