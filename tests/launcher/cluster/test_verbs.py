"""The verbs as they are typed, over real HTTP, to a cluster in memory."""

import json
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher.__main__ import complete_for_kubectl, run
from tests.launcher.cluster.fake_cluster import FakeCluster
from tests.launcher.cluster.samples import EXPERIMENT, JOBS, RUN, last_word, pod_of, submitted, trains
from tests.launcher.cluster.served_cluster import answer
from tests.launcher.kube.api_server import Answer, ApiServer, Request, refusal

DIGITS = str(EXPERIMENT)
SUBMIT = ["submit", DIGITS, "--image", "image:1"]


class Verbs:
    """Types commands, and gives what they print."""

    def __init__(self, cluster: FakeCluster, capsys: pytest.CaptureFixture[str]) -> None:
        self.cluster, self._capsys = cluster, capsys

    def __call__(self, *words: str, code: int = 0) -> str:
        found = run(words)
        told = self._capsys.readouterr()
        assert found == code, told.out + told.err
        return told.out + told.err


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ApiServer]:
    with ApiServer().running() as running:
        monkeypatch.setenv("KUBECONFIG", str(running.kubeconfig(tmp_path / "config")))
        yield running


def verbs_on(server: ApiServer, cluster: FakeCluster, capsys: pytest.CaptureFixture[str]) -> Verbs:
    lock = threading.Lock()

    def locked(request):  # type: ignore[no-untyped-def]
        with lock:
            return answer(cluster, request)

    server.answer = locked
    return Verbs(cluster, capsys)


@pytest.fixture
def empty(server: ApiServer, capsys: pytest.CaptureFixture[str]) -> Verbs:
    return verbs_on(server, FakeCluster(), capsys)


@pytest.fixture
def verbs(server: ApiServer, capsys: pytest.CaptureFixture[str]) -> Verbs:
    return verbs_on(server, submitted(), capsys)


def test_submit_tells_the_name_and_what_is_needed_next(empty: Verbs) -> None:
    told = empty(*SUBMIT, "--run", RUN, "-n", "team")
    assert told.startswith("run mine was submitted to namespace team\n")
    for verb in ("status", "watch", "logs -f", "wait"):
        assert f"perdure {verb} mine -n team\n" in told
    assert empty.cluster.names_of("Job") == JOBS
    assert "nothing to do" in empty(*SUBMIT, "--run", RUN)


def test_submit_without_a_name_makes_one(empty: Verbs) -> None:
    told = empty(*SUBMIT)
    (name,) = empty.cluster.names_of("ConfigMap")
    assert name.startswith("digits-")
    assert f"run {name} was submitted" in told


def test_submit_of_another_experiment_is_refused_with_the_difference(verbs: Verbs) -> None:
    told = verbs(*SUBMIT, "--run", RUN, "--set", "training.epochs=5", code=78)
    assert "spec.training.epochs: 80 -> 5 (shortened)" in told
    assert "--accept-changes" in told


def test_accepted_changes_stop_delete_and_submit_anew(verbs: Verbs) -> None:
    for worker in range(2):
        verbs.cluster.remove_pod(pod_of(verbs.cluster, worker))
    before = verbs.cluster.objects["ConfigMap", RUN]["metadata"]["uid"]
    told = verbs(*SUBMIT, "--run", RUN, "--set", "training.epochs=5", "--accept-changes")
    assert "run mine was submitted" in told
    after = verbs.cluster.objects["ConfigMap", RUN]
    assert after["metadata"]["uid"] != before
    assert json.loads(after["data"]["experiment.json"])["spec"]["training"]["epochs"] == 5


def test_dry_runs_make_nothing(empty: Verbs) -> None:
    assert "configmap/mine would be sent" in empty(*SUBMIT, "--run", RUN, "--dry-run", "client")
    assert empty.cluster.calls == []
    assert "would take run mine" in empty(*SUBMIT, "--run", RUN, "--dry-run", "server")
    assert empty.cluster.objects == {}


def test_status_as_table_and_as_json(verbs: Verbs) -> None:
    assert "state       running\n" in verbs("status", RUN)
    found = json.loads(verbs("status", "digits", "-o", "json"))
    assert (found["run"], found["state"], found["epoch"], found["step"]) == (RUN, "running", 3, 7)


def test_logs_are_merged_and_prefixed(verbs: Verbs) -> None:
    chief, other = pod_of(verbs.cluster, 0), pod_of(verbs.cluster, 1)
    progress = verbs.cluster.logs[chief][1]
    verbs.cluster.logs = {
        chief: ["2027-01-15T08:00:01.5Z a", f"2027-01-15T08:00:02Z {progress}"],
        other: ["2027-01-15T08:00:01.25Z b"],
    }
    assert verbs("logs", RUN) == "[1] b\n[0] a\n"
    assert verbs("logs", RUN, "--all", "--worker", "0") == f"[0] a\n[0] {progress}\n"


def end(cluster: FakeCluster, code: int, **more: object) -> None:
    cluster.end_pod(pod_of(cluster, 0), code, last_word(code, **more))
    for worker in range(2):
        cluster.finish_job(RUN, worker, "Failed" if code else "Complete")


def test_wait_tells_how_it_ended(verbs: Verbs) -> None:
    end(verbs.cluster, 0, weights_digest="abc", stopped_by="early_stopping")
    told = verbs("wait", RUN)
    assert "run mine: succeeded (Finished)\nepoch 67/80, attempt 2\nweights sha256 abc\n" in told


def test_wait_shows_a_failure_with_its_traceback(verbs: Verbs) -> None:
    end(verbs.cluster, 70, reason="ValueError: no", traceback="Traceback\n  model.py, line 3\nValueError: no")
    assert verbs("wait", RUN, code=70).endswith("Traceback\n  model.py, line 3\nValueError: no\n")


def test_wait_ends_when_its_time_is_over(verbs: Verbs) -> None:
    told = verbs("wait", RUN, "--timeout", "0", code=75)
    assert told == "run mine: running\nrun mine has not ended after 0 s; it goes on\n"


def test_stop_and_resume(verbs: Verbs) -> None:
    for worker in range(2):
        verbs.cluster.remove_pod(pod_of(verbs.cluster, worker))
    assert "run mine: stopped (Stopped)" in verbs("stop", RUN)
    assert "stopped" in verbs("wait", RUN, code=143)
    assert verbs("resume", RUN, "-n", "team").startswith("run mine goes on\n")
    assert "it is waiting" in verbs("resume", RUN) or "it is pending" in verbs("resume", RUN)


def test_delete_keeps_the_directory_unless_it_is_named(verbs: Verbs) -> None:
    assert "names 'other', and the run is 'mine'" in verbs("delete", RUN, "--run-directory", "other", code=64)
    assert verbs.cluster.writes() == []
    told = verbs("delete", RUN, "--no-wait")
    assert told == "run mine: 6 objects deleted; its run directory is untouched\n"


def test_a_run_that_cannot_be_read_is_told(verbs: Verbs) -> None:
    data = verbs.cluster.objects["ConfigMap", RUN]["data"]
    data["experiment.json"] = data["experiment.json"].replace("v1alpha1", "v9")
    assert "cannot read what run 'mine' was made of" in verbs("wait", RUN, code=78)
    assert "state       running" in verbs("status", RUN)
    del data["experiment.json"]
    assert "configmap/mine holds no run" in verbs("stop", RUN, code=78)


@pytest.mark.parametrize("verb", ["status", "logs", "wait", "watch", "stop", "resume", "delete"])
def test_a_run_that_is_not_there_is_told_without_a_traceback(empty: Verbs, verb: str) -> None:
    told = empty(verb, "nothing", code=64)
    assert "nothing" in told
    assert "Traceback" not in told


@pytest.mark.parametrize(
    "verb", ["list", "status", "logs", "wait", "watch", "stop", "resume", "delete", "prune", "submit", "diff"]
)
def test_a_cluster_that_does_not_answer_is_told_without_a_traceback(
    verb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    nobody = ApiServer()
    nobody.close()
    monkeypatch.setenv("KUBECONFIG", str(nobody.kubeconfig(tmp_path / "config")))
    assert run([verb, DIGITS if verb in ("submit", "diff") else RUN]) == 69
    told = capsys.readouterr().err
    assert f"{nobody.url} does not answer" in told
    assert "Traceback" not in told


def test_trains_is_what_status_reads(verbs: Verbs) -> None:
    trains(verbs.cluster, 9, 1)
    assert "epoch 9/80, step 1/24, attempt 1" in verbs("status", RUN)


def test_watch_tells_lines_in_a_pipe_and_how_it_ended(verbs: Verbs) -> None:
    end(verbs.cluster, 0, weights_digest="abc", stopped_by="early_stopping")
    told = verbs("watch", RUN)
    assert told == verbs("wait", RUN)
    assert "run mine: succeeded (Finished)" in told


def test_diff_tells_settings_and_code(verbs: Verbs, tmp_path: Path) -> None:
    assert verbs("diff", DIGITS, "--image", "image:1") == "run mine is made of the same\n"
    copy = tmp_path / "digits"
    shutil.copytree(DIGITS, copy, ignore=shutil.ignore_patterns("__pycache__"))
    model = copy / "model.py"
    model.write_text(model.read_text().replace("import keras", "import os\nimport keras", 1))
    words = ["diff", str(copy), "--run", RUN, "--image", "image:2", "--set", "training.epochs=5"]
    told = verbs(*words, code=1)
    assert told.startswith("run mine is made of something else:\n")
    assert "  spec.training.epochs: 80 -> 5 (shortened)\n" in told
    assert "  spec.pod.image: image:1 -> image:2 (counts from here on)\n" in told
    assert "--- run/model.py\n+++ here/model.py\n" in told
    assert "\n+import os\n" in told
    assert "\x1b" not in told
    assert verbs.cluster.writes() == []


def test_diff_of_a_run_that_is_not_there(empty: Verbs) -> None:
    assert "cannot find a run 'mine'" in empty("diff", DIGITS, "--run", RUN, code=64)


def test_list_in_every_form(verbs: Verbs) -> None:
    assert verbs("list").startswith(
        "run   experiment  state    epoch  step  best  restarts  age\nmine  digits "
    )
    assert verbs("list", "-A").startswith("namespace  run   experiment")
    assert verbs("list", "digits", "-o", "name") == "mine\n"
    (found,) = json.loads(verbs("list", "-o", "json"))["runs"]
    assert (found["run"], found["state"], found["epoch"]) == (RUN, "running", None)
    assert "runs:\n- run: mine\n" in verbs("list", "-o", "yaml")
    assert verbs("list", "other").startswith("there is no run of experiment other in namespace team; -A ")
    assert verbs("list", "other", "-o", "name") == ""


def test_prune_tells_first_and_does_it_with_yes(verbs: Verbs) -> None:
    assert verbs("prune", "--keep", "0") == "no run to delete in namespace team\n"
    verbs.cluster.now = time.time() - 7300
    end(verbs.cluster, 0)
    assert verbs("prune", "--older-than", "1d") == "no run to delete in namespace team\n"
    assert "'soon' is no duration" in verbs("prune", "--older-than", "soon", code=64)
    told = verbs("prune", "--older-than", "1h")
    assert told.startswith("run mine would be deleted: it succeeded 2h")
    assert verbs.cluster.writes() == []
    assert verbs("prune", "--older-than", "1h", "--yes") == "run mine: 6 objects deleted\n"
    assert verbs.cluster.names_of("Job") == []


def test_logs_of_some_workers_and_of_late(verbs: Verbs) -> None:
    chief, other = pod_of(verbs.cluster, 0), pod_of(verbs.cluster, 1)
    verbs.cluster.logs = {chief: ["2020-01-15T08:00:01Z a", "2999-01-15T08:00:01Z b"], other: []}
    assert verbs("logs", RUN, "--worker", "0", "--worker", "1") == "[0] a\n[0] b\n"
    assert verbs("logs", RUN, "--since", "5m") == "[0] b\n"
    assert verbs("logs", RUN, "--worker", "1") == ""


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_for_each_shell(empty: Verbs, shell: str) -> None:
    assert "_PERDURE_COMPLETE" in empty("completion", shell)


def test_runs_and_experiments_are_completed(
    verbs: Verbs, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def completed(*words: str) -> str:
        monkeypatch.setattr(sys, "argv", ["kubectl_complete-perdure", *words])
        complete_for_kubectl()
        return capsys.readouterr().out

    assert completed("status", "") == "mine\n:4\n"
    assert completed("status", "x") == ":0\n"
    monkeypatch.chdir(EXPERIMENT.parents[1])
    assert "digits\n" in completed("submit", "dig")
    assert completed("sta").startswith("status\t")


def test_nothing_is_completed_where_no_cluster_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    monkeypatch.setattr(sys, "argv", ["kubectl_complete-perdure", "status", ""])
    complete_for_kubectl()
    assert capsys.readouterr() == (":0\n", "")


def test_as_a_plugin_of_kubectl_it_calls_itself_so(empty: Verbs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/usr/local/bin/kubectl-perdure"])
    assert "Usage: kubectl perdure list" in empty("list", "--help")
    assert "kubectl perdure wait mine\n" in empty(*SUBMIT, "--run", RUN)


def test_what_the_server_refuses_is_told_with_its_line(
    server: ApiServer, empty: Verbs, tmp_path: Path
) -> None:
    folder = tmp_path / "digits"
    shutil.copytree(DIGITS, folder, ignore=shutil.ignore_patterns("__pycache__"))
    file = folder / "experiment.yaml"
    file.write_text(file.read_text() + "  pod:\n    resources: {memory: 8Gi}\n")
    cause = {"field": "spec.template.spec.containers[0].resources.limits[memory]", "message": "too much"}
    usual = server.answer

    def refuse(request: Request) -> Answer:
        if request.method == "PATCH" and "/jobs/" in request.path:
            return refusal(422, "Invalid", "Job is invalid: too much", causes=[cause])
        return usual(request)

    server.answer = refuse
    told = empty("submit", str(folder), "--image", "image:1", "--run", RUN, code=64)
    line = len(file.read_text().splitlines())
    assert told.startswith(f"{file}:{line}: spec.pod.resources.memory: too much\ncannot submit the run")
    assert told.count("spec.pod.resources.memory") == 1


@pytest.mark.parametrize(
    "verb", ["list", "status", "logs", "wait", "watch", "stop", "resume", "delete", "prune"]
)
@pytest.mark.parametrize(
    ("answered", "code", "told"),
    [
        (
            refusal(
                403, "Forbidden",
                'User "eve" cannot list resource "jobs" in API group "batch" in the namespace "team"',
            ),
            77,
            "eve may not list jobs in namespace team",
        ),
        (refusal(401, "Unauthorized", "Unauthorized"), 77, "have expired"),
        (Answer(200, b"<html>"), 69, "no whole answer came"),
        (Answer(200, {"items": [{"metadata": {}}]}), 1, "a mistake in Perdure itself"),
    ],
    ids=["forbidden", "expired", "no-api-server", "nonsense"],
)  # fmt: skip
def test_no_answer_ends_in_a_traceback(
    server: ApiServer, capsys: pytest.CaptureFixture[str], verb: str, answered: Answer, code: int, told: str
) -> None:
    server.answer = lambda _: answered
    words = [verb] if verb in ("list", "prune") else [verb, RUN]
    found, said = run(words), capsys.readouterr()
    assert "Traceback" not in said.out + said.err
    if answered.status != 200 or isinstance(answered.body, bytes):
        assert found == code, said
        assert told in said.err


def test_an_old_server_is_refused(server: ApiServer, empty: Verbs) -> None:
    server.answer = lambda _: Answer(body={"gitVersion": "v1.30.1"})
    assert "it is Kubernetes 1.30, and runs need 1.34 or newer" in empty(*SUBMIT, code=64)


@pytest.mark.parametrize("by_variable", [True, False])
def test_debug_shows_the_traceback(
    server: ApiServer, empty: Verbs, monkeypatch: pytest.MonkeyPatch, *, by_variable: bool
) -> None:
    server.answer = lambda _: Answer(body={"items": [{"metadata": {"labels": {}}}]})
    told = empty("list", code=1)
    assert told.startswith("a mistake in Perdure itself: KeyError: ")
    assert told.count("\n") == 1
    if by_variable:
        monkeypatch.setenv("PERDURE_DEBUG", "1")
    shown = empty(*([] if by_variable else ["--debug"]), "list", code=1)
    assert shown.startswith("Traceback (most recent call last):\n")
    assert shown.endswith(told)
