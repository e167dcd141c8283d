"""What a pod's variables and files say, and everything that is wrong with them at once."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from trainer.contract import pod
from trainer.contract.exit_codes import ExitCode
from trainer.contract.progress import LastWord
from trainer.pod_entry import PodError, below, read_pod

VARIABLES = {
    pod.RUN: "digits-1",
    pod.WORKER: "1",
    pod.LEADER: "digits-1-leader:7460",
    pod.DIGEST: "abc",
    pod.RUN_DIRECTORY: "file:///perdure/storage/digits/digits-1",
    pod.POD_IP: "10.1.2.3",
    pod.CPUS: "3",
    pod.GRACE: "120",
}


def document(**spec: Any) -> dict[str, Any]:
    training = {
        "model": "model.py:build",
        "data": "data.py:load",
        "epochs": 5,
        "global_batch_size": 60,
        **spec.pop("training", {}),
    }
    return {
        "apiVersion": "perdure.dev/v1alpha1",
        "kind": "Experiment",
        "metadata": {"name": "digits"},
        "spec": {"workers": 2, "training": training, **spec},
    }


def make_root(root: Path, experiment: Any) -> Path:
    below(root, pod.CODE_FOLDER).mkdir(parents=True)
    file = below(root, pod.EXPERIMENT_FILE)
    file.parent.mkdir(parents=True)
    file.write_text(experiment if isinstance(experiment, str) else json.dumps(experiment))
    below(root, pod.TERMINATION_MESSAGE).parent.mkdir()
    return root


def read(root: Path, draw: float = 0.5, **changes: str | None) -> Any:
    variables = {name: value for name, value in {**VARIABLES, **changes}.items() if value is not None}
    return read_pod(variables, root, lambda: draw)


def problems(root: Path, **changes: str | None) -> list[str]:
    with pytest.raises(PodError) as caught:
        read(root, **changes)
    return caught.value.problems


def test_a_pod_says_what_its_supervisor_is_to_do(tmp_path: Path) -> None:
    restart = {"max_failures": 3, "group_wait": "10m"}
    plan = read(make_root(tmp_path, document(restart=restart, deadline="2h")))
    assert (plan.run, plan.worker, plan.workers, plan.digest) == ("digits-1", 1, 2, "abc")
    assert (plan.leader, plan.listen, plan.host) == ("digits-1-leader:7460", "10.1.2.3:7460", "10.1.2.3")
    assert plan.folder == str(tmp_path / "perdure/code")
    assert plan.run_directory == "file:///perdure/storage/digits/digits-1"
    assert (plan.max_failures, plan.group_wait, plan.deadline) == (3, 600.0, 7200)
    assert plan.threads == 3
    assert plan.grace == 115.0
    assert plan.experiment["spec"]["training"]["epochs"] == 5
    assert plan.experiment["name"] == "digits"


def test_the_experiment_says_the_threads_unless_it_leaves_them_to_the_pod(tmp_path: Path) -> None:
    assert read(make_root(tmp_path, document(training={"threads": 7}))).threads == 7


def test_a_short_grace_keeps_the_larger_part_of_it_for_the_save(tmp_path: Path) -> None:
    assert read(make_root(tmp_path, document()), **{pod.GRACE: "10"}).grace == 8.0


def test_an_ipv6_pod_listens_at_its_address(tmp_path: Path) -> None:
    plan = read(make_root(tmp_path, document()), **{pod.POD_IP: "fd00::7"})
    assert (plan.listen, plan.host) == ("[fd00::7]:7460", "fd00::7")


def test_two_groups_do_not_give_up_at_the_same_time(tmp_path: Path) -> None:
    root = make_root(tmp_path, document(restart={"group_wait": 100}))
    assert [read(root, draw=draw).group_wait for draw in (0.0, 0.5, 1.0)] == [75.0, 100.0, 125.0]


@pytest.mark.parametrize("name", VARIABLES)
def test_a_missing_variable_is_named(tmp_path: Path, name: str) -> None:
    found = problems(make_root(tmp_path, document()), **{name: None})
    assert len(found) == 1
    assert found[0].startswith(f"{name} is not set: expected ")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (pod.WORKER, "-1"),
        (pod.WORKER, "one"),
        (pod.WORKER, "1.5"),
        (pod.WORKER, "nan"),
        (pod.WORKER, "2"),
        (pod.LEADER, "digits-1-leader"),
        (pod.LEADER, ":7460"),
        (pod.LEADER, "digits-1-leader:0"),
        (pod.RUN_DIRECTORY, "ftp://somewhere/run"),
        (pod.POD_IP, "a.pod"),
        (pod.CPUS, "0"),
        (pod.CPUS, "500m"),
        (pod.GRACE, "0"),
        (pod.GRACE, "inf"),
        (pod.GRACE, "2m"),
    ],
)
def test_a_wrong_variable_is_named_with_its_value(tmp_path: Path, name: str, value: str) -> None:
    found = problems(make_root(tmp_path, document()), **{name: value})
    assert len(found) == 1
    assert found[0].startswith(f"{name}=")
    assert value in found[0]
    assert "expected" in found[0] or "workers 0 to 1" in found[0]


def test_everything_wrong_is_told_at_once(tmp_path: Path) -> None:
    bad = document(training={"epochs": 0, "seed": "x"})
    bad["spec"]["colour"] = "red"
    found = problems(make_root(tmp_path, bad), **{pod.RUN: None, pod.CPUS: "many", pod.DIGEST: ""})
    told = "\n".join(found)
    for part in (pod.RUN, pod.CPUS, pod.DIGEST, "epochs=0", "seed='x'", "colour"):
        assert part in told
    assert len(found) == 6


@pytest.mark.parametrize("content", ["{", "[]", "null", '{"kind": "Experiment"}'])
def test_a_file_that_holds_no_experiment_is_named(tmp_path: Path, content: str) -> None:
    found = problems(make_root(tmp_path, content))
    assert all(each.startswith(str(tmp_path / "perdure/run/experiment.json")) for each in found)


def test_missing_files_are_named(tmp_path: Path) -> None:
    told = "\n".join(problems(tmp_path))
    assert str(tmp_path / "perdure/code") in told
    assert str(tmp_path / "perdure/run/experiment.json") in told


@pytest.mark.processes
def test_a_wrong_pod_exits_with_64_and_says_why_in_its_last_word(tmp_path: Path) -> None:
    root = make_root(tmp_path, document())
    environment = {**os.environ, **VARIABLES, pod.LEADER: "nowhere", pod.RUN: ""}
    done = subprocess.run(
        [sys.executable, "-m", "trainer", "--pod", "--root", str(root)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == ExitCode.USAGE
    word = LastWord.from_message(below(root, pod.TERMINATION_MESSAGE).read_text())
    assert word is not None
    assert (word.worker, word.exit_code) == (1, 64)
    for text in (done.stderr, word.reason):
        assert "PERDURE_LEADER='nowhere'" in text
        assert "PERDURE_RUN is not set" in text
    assert "Traceback" not in done.stderr


def test_a_fault_of_the_disk_is_no_mistake_of_the_pods(tmp_path: Path) -> None:
    root = make_root(tmp_path, document())
    file = below(root, pod.EXPERIMENT_FILE)
    file.unlink()
    # Not to be followed to its end: an error of the system's that no experiment can cause.
    file.symlink_to(file.name)
    with pytest.raises(OSError, match="Too many levels"):
        read(root)
