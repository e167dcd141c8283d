"""The launch half of the experiment file: what it takes, and what it makes of that."""

from typing import Any

import pytest
from pydantic import ValidationError

from trainer.contract.launch import ClaimSpec, MetricsSpec, RestartSpec, StorageSpec
from trainer.contract.pod_spec import EnvironmentValue, PodSpec, ResourcesSpec, VolumeSpec
from trainer.contract.training import ExperimentSpec, cross_field_problems

TRAINING = {"model": "model.py:build", "data": "data.py:load", "epochs": 3, "global_batch_size": 12}
NFS = {"nfs": {"server": "a", "path": "/"}}


def problems(**launch: Any) -> list[tuple[Any, ...]]:
    return [path for path, _, _ in cross_field_problems({"training": TRAINING, **launch})]


@pytest.mark.parametrize(
    ("given", "seconds"),
    [("30s", 30), ("15m", 900), ("2h", 7200), ("1d", 86400), ("1h30m", 5400), ("1d2h3m4s", 93784), (45, 45)],
)
def test_durations_are_seconds(given: Any, seconds: int) -> None:
    spec = RestartSpec.model_validate({"group_wait": given})
    assert spec.group_wait == seconds
    assert RestartSpec.model_validate(spec.model_dump(mode="json")) == spec


@pytest.mark.parametrize(
    "given",
    ["", "s", "5", "5 m", "5min", "m5", "30m1h", "-5s", "1.5h", "0s", 0, -1, 1.5, True, None, "999999999d"],
)
def test_other_durations_are_refused(given: Any) -> None:
    with pytest.raises(ValidationError):
        RestartSpec.model_validate({"group_wait": given})


def test_a_notice_is_at_most_a_day() -> None:
    assert RestartSpec.model_validate({"notice": "24h"}).notice == 86400
    with pytest.raises(ValidationError):
        RestartSpec.model_validate({"notice": "25h"})


@pytest.mark.parametrize(
    ("given", "amount"), [("4", "4"), (4, "4"), (0.5, "0.5"), (3.25, "3.25"), ("500m", "500m"), (10, "10")]
)
def test_cpus_are_a_number_or_as_kubernetes_has_them(given: Any, amount: str) -> None:
    assert ResourcesSpec.model_validate({"cpu": given}).cpu == amount


@pytest.mark.parametrize(
    "resources",
    [
        {"cpu": "four"},
        {"cpu": -1},
        {"cpu": True},
        {"cpu": float("inf")},
        {"memory": 5},
        {"memory": "5GB"},
        {"memory": "5 Gi"},
        {"gpu": -1},
        {"gpu": 1.0},
        {"gpu_resource": "gpu"},
    ],
)
def test_other_resources_are_refused(resources: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ResourcesSpec.model_validate(resources)


@pytest.mark.parametrize(
    ("storage", "claim"),
    [
        ({}, ClaimSpec()),
        ({"path": "a/b", "secret": "s"}, ClaimSpec()),
        ({"create": {"size": "5Gi"}}, ClaimSpec(size="5Gi")),
        ({"claim": "mine"}, None),
        ({"url": "gs://b/r"}, None),
    ],
)
def test_a_claim_is_made_where_nothing_else_is_named(
    storage: dict[str, Any], claim: ClaimSpec | None
) -> None:
    assert problems(storage=storage) == []
    assert StorageSpec.model_validate(storage).created_claim() == claim


@pytest.mark.parametrize(
    ("storage", "url"), [({}, "./runs"), ({"claim": "a"}, "./runs"), ({"url": "/a"}, "/a")]
)
def test_runs_on_this_machine_lie_in_a_folder(storage: dict[str, Any], url: str) -> None:
    assert StorageSpec.model_validate(storage).local_url() == url


@pytest.mark.parametrize("path", ["/a", "../a", "a/../b", "a//b", "a/", "", ".a", "a b"])
def test_a_path_in_a_claim_stays_in_it(path: str) -> None:
    with pytest.raises(ValidationError):
        StorageSpec.model_validate({"path": path})


@pytest.mark.parametrize(
    ("launch", "where"),
    [
        ({"storage": {"url": "gs://b", "claim": "a"}}, ("storage",)),
        ({"storage": {"claim": "a", "create": {}}}, ("storage",)),
        ({"storage": {"url": "gs://b", "path": "a"}}, ("storage", "path")),
        ({"pod": {"labels": {"perdure.dev/run": "a"}}}, ("pod", "labels", "perdure.dev/run")),
        ({"pod": {"annotations": {"perdure.dev/digest": "a"}}}, ("pod", "annotations", "perdure.dev/digest")),
        ({"pod": {"labels": {"a/b/c": "a"}}}, ("pod", "labels", "a/b/c")),
        ({"pod": {"labels": {"a": "b c"}}}, ("pod", "labels", "a")),
        ({"pod": {"node_selector": {"a": "x" * 64}}}, ("pod", "node_selector", "a")),
        ({"pod": {"env": {"1A": "x"}}}, ("pod", "env", "1A")),
        ({"pod": {"env": {"PERDURE_RUN": "x"}}}, ("pod", "env", "PERDURE_RUN")),
        ({"pod": {"env": {"TF_CONFIG": "x"}}}, ("pod", "env", "TF_CONFIG")),
        ({"pod": {"env": {"A": {"secret": "s"}}}}, ("pod", "env", "A")),
        ({"pod": {"env": {"A": {"value": "v", "secret": "s", "key": "k"}}}}, ("pod", "env", "A")),
        ({"pod": {"env_from": [{}]}}, ("pod", "env_from", 0)),
        ({"pod": {"env_from": [{"secret": "a", "config_map": "b"}]}}, ("pod", "env_from", 0)),
        ({"pod": {"volumes": [{"name": "a", "mount_path": "/a"}]}}, ("pod", "volumes", 0)),
        ({"pod": {"volumes": [{"name": "a", "mount_path": "/a", "nsf": {}}]}}, ("pod", "volumes", 0, "nsf")),
        (
            {"pod": {"volumes": [{"name": "perdure-a", "mount_path": "/a", **NFS}]}},
            ("pod", "volumes", 0, "name"),
        ),
        (
            {"pod": {"volumes": [{"name": "a", "mount_path": "/tmp", **NFS}]}},
            ("pod", "volumes", 0, "mount_path"),
        ),
        (
            {"pod": {"volumes": [{"name": "a", "mount_path": "/perdure/code/x", **NFS}]}},
            ("pod", "volumes", 0, "mount_path"),
        ),
        (
            {
                "pod": {
                    "volumes": [
                        {"name": "a", "mount_path": "/a", **NFS},
                        {"name": "b", "mount_path": "/a", **NFS},
                    ]
                }
            },
            ("pod", "volumes", 1, "mount_path"),
        ),
    ],
)
def test_what_cannot_be_is_told_with_its_place(launch: dict[str, Any], where: tuple[Any, ...]) -> None:
    assert problems(**launch) == [where]
    with pytest.raises(ValidationError, match="expected"):
        ExperimentSpec.model_validate({"training": TRAINING, **launch})


def test_problems_are_found_in_what_is_not_valid_otherwise() -> None:
    pod = {"env": {"A": 5, "B b": None}, "env_from": [7], "volumes": [{"name": 1}], "labels": 3}
    assert problems(storage=[], pod=pod) == [("pod", "env", "B b"), ("pod", "volumes", 0)]


@pytest.mark.parametrize(
    ("value", "all_workers"),
    [
        ({"value": "a"}, True),
        ({"value": "a", "workers": "chief"}, False),
        ({"secret": "a", "key": "b"}, False),
        ({"secret": "a", "key": "b", "workers": "all"}, True),
    ],
)
def test_secrets_reach_worker_0_alone_unless_told(value: dict[str, Any], all_workers: bool) -> None:
    found = EnvironmentValue.model_validate(value)
    assert [found.reaches(worker) for worker in (0, 1, 2)] == [True, all_workers, all_workers]


def test_a_volume_has_any_of_kubernetes_sources() -> None:
    volume = VolumeSpec.model_validate({"name": "a", "mount_path": "/a", "csi": {"driver": "d"}})
    assert volume.source() == {"csi": {"driver": "d"}}
    assert VolumeSpec.model_validate(volume.model_dump(mode="json")) == volume


def test_what_json_cannot_carry_is_refused_in_kubernetes_own_structures() -> None:
    for pod in ({"affinity": {"a": float("nan")}}, {"tolerations": [{"a": {1}}]}, {"template": {"a": 2**70}}):
        with pytest.raises(ValidationError):
            PodSpec.model_validate(pod)


def test_metrics_are_read_from_namespaces() -> None:
    metrics = MetricsSpec.model_validate({"from": ["monitoring"]})
    assert metrics.from_namespaces == ("monitoring",)
    assert metrics.model_dump(mode="json")["from"] == ["monitoring"]
    with pytest.raises(ValidationError):
        MetricsSpec.model_validate({"from_namespaces": ["monitoring"]})
