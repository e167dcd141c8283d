import numpy as np
import pytest

from tests.integration.checkpoint_cases import CASES
from tests.integration.workers import Setting, run_cases

SETTINGS = {
    "one": Setting(),
    "two workers": Setting(workers=2),
    "two devices": Setting(devices=2),
}


@pytest.fixture(scope="module", params=list(SETTINGS))
def group(request, tmp_path_factory):
    setting = SETTINGS[request.param]
    names = [name for name in CASES if setting.workers > 1 or name not in ("diverged", "broadcast")]
    folder = tmp_path_factory.mktemp("capture")
    return setting, run_cases("tests.integration.checkpoint_cases", names, setting, folder)


@pytest.mark.processes
def test_a_capture_changes_nothing_and_a_restore_brings_back_every_bit(group):
    setting, outcomes = group
    results = outcomes["round_trip"].require()
    for result in results:
        assert result["unchanged"]
        assert result["same"]
        assert result["overwritten"]
        assert result["restored"]
    chief, *others = results
    assert all(result["names"] == [] for result in others)
    kinds = {name.split("/")[0] for name in chief["names"]}
    assert kinds == {"weights", "optimizers", "statistics", "seeds", "metrics"}
    per_replica = [n for n in chief["names"] if n.split("/")[0] in ("statistics", "seeds", "metrics")]
    assert {chief["shapes"][name][0] for name in per_replica} == {setting.replicas}
    assert len({tuple(row) for row in chief["seeds"]}) == setting.replicas


@pytest.mark.processes
def test_what_replicas_keep_for_themselves_is_captured_in_their_order(group):
    setting, outcomes = group
    results = outcomes["replicas_differ"].require()
    captured = results[0]["captured"]
    for name, rows in captured.items():
        mine = {int(number): value for r in results for number, value in r["mine"][name].items()}
        assert [mine[number] for number in range(setting.replicas)] == rows
    if setting.replicas > 1:
        assert any(
            not np.array_equal(rows[0], rows[1]) for name, rows in captured.items() if "metrics" in name
        )


@pytest.mark.processes
def test_a_checkpoint_of_another_model_is_refused_by_all_and_changes_nothing(group):
    _, outcomes = group
    for result in outcomes["another_model"].require():
        assert result["untouched"]
        lines = result["error"].splitlines()
        assert len(lines) == 4
        assert "weights/2" in lines[1]
        assert "float32 (6, 8)) is float32 (6, 9) in the checkpoint" in lines[1]
        assert "optimizers/0" in lines[2]
        assert "is not in the checkpoint" in lines[2]
        assert "weights/99 is in the checkpoint" in lines[3]


@pytest.mark.processes
@pytest.mark.parametrize("group", ["two workers"], indirect=True)
def test_workers_that_diverged_are_told_apart(group):
    _, outcomes = group
    for message in outcomes["diverged"].require():
        assert "different weights or optimizer variables: worker 0 " in message


@pytest.mark.processes
@pytest.mark.parametrize("group", ["two workers"], indirect=True)
def test_arrays_reach_every_worker_as_they_are(group):
    _, outcomes = group
    first, second = outcomes["broadcast"].require()
    assert first == second
    assert first["narrow"][:2] == ["bfloat16", [5]]
