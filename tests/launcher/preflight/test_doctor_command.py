"""`perdure doctor`, and what `perdure submit` makes of findings, over real HTTP to a cluster in memory."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher.__main__ import run
from launcher.manifests import read_config_map
from tests.launcher.cluster.fake_cluster import FakeCluster
from tests.launcher.cluster.served_cluster import answer
from tests.launcher.kube.api_server import ApiServer
from tests.launcher.preflight.subjects import DATA, EXPERIMENT, MODEL, changed, line_of

DIGITS = str(Path(__file__).parents[3] / "experiments" / "digits")
WARNED = changed("patience: 8", "patience: 79")
WRONG = changed("monitor: val_accuracy", "monitor: val_acc")


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeCluster]:
    # Runs of this machine tell of the size of checkpoints: none here.
    monkeypatch.chdir(tmp_path)
    found = FakeCluster()
    with ApiServer().running() as server:
        monkeypatch.setenv("KUBECONFIG", str(server.kubeconfig(tmp_path / "config")))
        server.answer = lambda request: answer(found, request)
        yield found


@pytest.fixture
def nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))


def written(folder: Path, experiment: str) -> str:
    for name, content in {"experiment.yaml": experiment, "model.py": MODEL, "data.py": DATA}.items():
        (folder / name).write_text(content)
    return str(folder)


def test_a_clean_digits_has_no_finding(cluster: FakeCluster, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor", DIGITS]) == 0
    assert capsys.readouterr().out == "no finding\n"
    assert run(["doctor", DIGITS, "-o", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == []
    assert cluster.writes() == []


def test_findings_are_told_with_place_reason_and_fix(
    cluster: FakeCluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["doctor", written(tmp_path, WARNED)]) == 0
    assert capsys.readouterr().out == (
        f"{tmp_path}/experiment.yaml:{line_of('patience: 79', WARNED)}: warning: "
        "spec.callbacks.early_stopping.patience: a patience of 79 cannot end before the last of 80 epochs "
        "[patience-too-long]\n"
        "    why: the run has ended before the callback can act: it is as good as switched off\n"
        "    fix: lower patience (and start_from_epoch), raise epochs, or switch the callback off with "
        "false\n"
        "    see: docs/preflight.md#patience-too-long\n"
        "1 warning\n"
    )


def test_findings_as_data(cluster: FakeCluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor", written(tmp_path, WRONG), "-o", "json"]) == 64
    (found,) = json.loads(capsys.readouterr().out)
    assert (found["code"], found["severity"], found["key"], found["line"]) == (
        "monitor-missing", "error", "spec.callbacks.best_models.0.monitor", line_of("val_acc", WRONG),
    )  # fmt: skip


def test_the_cluster_alone(cluster: FakeCluster, capsys: pytest.CaptureFixture[str]) -> None:
    cluster.denied = {("create", "jobs")}
    assert run(["doctor"]) == 77
    told = capsys.readouterr().out
    assert "cluster: error: you may not create jobs in namespace team" in told
    assert "1 error, 1 note" in told


def test_without_a_cluster(nobody: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = written(tmp_path, WRONG)
    assert run(["doctor", folder, "--offline"]) == 64
    assert "[monitor-missing]" in capsys.readouterr().out
    assert run(["doctor", folder]) == 64
    assert "there is no kubeconfig" in capsys.readouterr().err
    assert run(["doctor", "--offline"]) == 64


def test_submit_warns_and_submits(
    cluster: FakeCluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["submit", written(tmp_path, WARNED), "--run", "a-run"]) == 0
    told = capsys.readouterr()
    assert "[patience-too-long]" in told.err
    assert told.out.startswith("run a-run was submitted")


def test_submit_refuses_errors(
    cluster: FakeCluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for more in ([], ["--dry-run", "client"], ["--dry-run", "server"]):
        assert run(["submit", written(tmp_path, WRONG), *more]) == 64
        told = capsys.readouterr().err
        assert "[monitor-missing]" in told
        assert "nothing was submitted: 1 error" in told
    assert cluster.writes() == []


def test_what_is_ignored_is_recorded_with_the_run_and_changes_nothing_else(
    cluster: FakeCluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = written(tmp_path, WRONG)
    because = ["--ignore", "monitor-missing=a layer adds it: é", "--ignore", "patience-zero=never mind"]
    assert run(["submit", folder, "--run", "a-run", *because]) == 0
    told = capsys.readouterr().err
    assert told == "ignored monitor-missing: a layer adds it: é\nnothing to ignore of patience-zero\n"
    metadata = cluster.objects["ConfigMap", "a-run"]["metadata"]
    assert json.loads(metadata["annotations"]["perdure.dev/ignored-findings"]) == {
        "monitor-missing": "a layer adds it: é"
    }
    assert read_config_map(cluster.objects["ConfigMap", "a-run"]).ignored == {
        "monitor-missing": "a layer adds it: é"
    }
    again = ["submit", folder, "--run", "a-run", "--ignore", "monitor-missing=another reason"]
    assert run(again) == 0
    assert "nothing to do" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("monitor-missing", "is ignored only with a reason"),
        ("monitor-missing= ", "is ignored only with a reason"),
        ("monitor-missing=caf\udce9", "needs a reason of one line of text, received 'caf\\udce9'"),
        ("monitors=why", "no code of a finding, received 'monitors'"),
        ("storage-in-container=why", "cannot be ignored"),
    ],
)
@pytest.mark.parametrize("verb", ["doctor", "submit"])
def test_what_cannot_be_ignored_is_refused(
    nobody: None, capsys: pytest.CaptureFixture[str], verb: str, given: str, told: str
) -> None:
    assert run([verb, DIGITS, "--ignore", given]) == 64
    assert told in capsys.readouterr().err


def test_ignored_errors_no_longer_end_doctor(
    cluster: FakeCluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["doctor", written(tmp_path, WRONG), "--ignore", "monitor-missing=known"]) == 0
    told = capsys.readouterr()
    assert (told.out, told.err) == ("no finding\n", "ignored monitor-missing: known\n")


@pytest.mark.parametrize("manifest", ["", "[]", '{"manifest": {"files": [{"size": 1e999}]}}', "[" * 100_000])
def test_a_damaged_checkpoint_here_tells_nothing(
    cluster: FakeCluster, tmp_path: Path, capsys: pytest.CaptureFixture[str], manifest: str
) -> None:
    checkpoint = tmp_path / "runs" / "mine" / "earlier" / "checkpoints" / "10-12-1"
    checkpoint.mkdir(parents=True)
    (checkpoint / "manifest.json").write_text(manifest)
    assert run(["doctor", written(tmp_path, EXPERIMENT)]) == 0
    assert capsys.readouterr().out == "no finding\n"


def test_an_earlier_run_here_tells_the_size_of_checkpoints(
    cluster: FakeCluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoints = tmp_path / "runs" / "mine" / "earlier" / "checkpoints"
    for name, size in (("10-12-1", 1), ("20-24-1", 3 << 30), ("30-36-1", None), ("odd", 5)):
        (checkpoints / name).mkdir(parents=True)
        if size is not None:
            manifest = {"manifest": {"files": [{"name": "a", "size": size}]}}
            (checkpoints / name / "manifest.json").write_text(json.dumps(manifest))
    assert run(["doctor", written(tmp_path, EXPERIMENT)]) == 0
    told = capsys.readouterr().out
    assert "take 12 GiB, by run earlier, and the claim has 10 GiB [space-too-small]" in told
