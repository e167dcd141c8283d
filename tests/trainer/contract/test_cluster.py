import json

import pytest

from trainer.contract.cluster import VARIABLE, Cluster, from_tf_config, to_tf_config


@pytest.mark.parametrize("worker", [0, 1, 2])
def test_what_is_written_is_read_back(worker: int) -> None:
    cluster = Cluster(("a:1", "b:2", "c:3"), worker)
    assert from_tf_config({VARIABLE: to_tf_config(cluster)}) == cluster
    assert cluster.is_chief == (worker == 0)


def test_tensorflow_reads_it() -> None:
    assert json.loads(to_tf_config(Cluster(("a:1", "b:2"), 1))) == {
        "cluster": {"worker": ["a:1", "b:2"]},
        "task": {"type": "worker", "index": 1},
    }


@pytest.mark.parametrize("environment", [{}, {VARIABLE: ""}])
def test_a_process_without_it_trains_alone(environment: dict[str, str]) -> None:
    assert from_tf_config(environment) is None


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "3",
        "{}",
        '{"cluster": {"worker": ["a:1"]}}',
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}',
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": -1}}',
        '{"cluster": {"worker": ["a:1"], "ps": ["b:1"]}, "task": {"type": "worker", "index": 0}}',
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "evaluator", "index": 0}}',
    ],
)
def test_what_is_no_cluster_of_workers_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="TF_CONFIG is not valid"):
        from_tf_config({VARIABLE: text})
