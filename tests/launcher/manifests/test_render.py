"""What the objects of a run say."""

import base64
import json
import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from launcher.experiment import ExperimentErrors
from launcher.manifests import KubeVersion, render
from launcher.manifests.config_map import LARGEST_BYTES
from launcher.manifests.environment import whole_cpus
from tests.launcher.manifests.plans import (
    DIGITS,
    EVERYTHING,
    NEW,
    OLD,
    container,
    environment,
    jobs,
    of_kind,
    plan,
    pod,
    rendered,
)
from trainer.contract.cluster import from_tf_config
from trainer.contract.exit_codes import ExitCode
from trainer.contract.training import ExperimentDocument

SMALL = """\
apiVersion: perdure.dev/v1alpha1
kind: Experiment
metadata: {name: small}
spec:
  training: {model: "model.py:build", data: "data.py:load", epochs: 1, global_batch_size: 2}
"""


def names(manifests: list[dict[str, Any]]) -> list[str]:
    return [f"{manifest['kind']}/{manifest['metadata']['name']}" for manifest in manifests]


def test_objects_come_in_the_order_of_submit() -> None:
    assert names(rendered(workers=3)) == [
        "PersistentVolumeClaim/perdure-runs",
        "ConfigMap/a-run",
        "Service/a-run",
        "Service/a-run-leader",
        "NetworkPolicy/a-run",
        "Job/a-run-worker-2",
        "Job/a-run-worker-1",
        "Job/a-run-worker-0",
    ]


def test_rendering_again_gives_the_same() -> None:
    assert rendered(EVERYTHING) == rendered(EVERYTHING)


def test_all_objects_of_a_run_carry_its_labels_and_digest_but_the_claim_which_is_no_ones() -> None:
    claim, *others = rendered(EVERYTHING)
    assert claim["metadata"]["labels"] == {"app.kubernetes.io/name": "perdure"}
    digest = plan(EVERYTHING).digest
    for manifest in others:
        metadata = manifest["metadata"]
        assert metadata["labels"]["perdure.dev/run"] == "a-run"
        assert metadata["labels"]["perdure.dev/experiment"] == "everything"
        assert metadata["annotations"]["perdure.dev/digest"] == digest
        assert metadata["namespace"] == "team"
    for job in of_kind(others, "Job"):
        template = job["spec"]["template"]["metadata"]
        assert template["annotations"]["perdure.dev/digest"] == digest
        assert job["metadata"]["labels"].items() <= template["labels"].items()


@pytest.mark.parametrize(
    "setting", [{"training__seed": 1}, {"pod__image": "other"}, {"pod__shm_size": "2Gi"}]
)
def test_whatever_changes_an_object_changes_the_digest(setting: dict[str, Any]) -> None:
    assert plan(**setting).digest != plan().digest


def test_a_changed_file_changes_the_digest(tmp_path: Path) -> None:
    digests = set()
    for content in ("def build(): ...\n", "def build(): ... \n"):
        experiment(tmp_path, {"model.py": content.encode()})
        digests.add(plan(tmp_path).digest)
    assert len(digests) == 2


def test_code_travels_as_it_is_and_comes_back_at_its_paths() -> None:
    config_map = of_kind(rendered(EVERYTHING), "ConfigMap")[0]
    assert config_map["immutable"] is True
    mounted = {volume["name"]: volume for volume in pod(EVERYTHING, worker=1)["volumes"]}
    found = {}
    for item in mounted["perdure-code"]["configMap"]["items"]:
        key = item["key"]
        binary = config_map.get("binaryData", {}).get(key)
        text = config_map["data"].get(key)
        found[item["path"]] = base64.b64decode(binary) if text is None else text.encode()
    travelling = [*EVERYTHING.rglob("*.py"), EVERYTHING / "start.weights.h5"]
    assert found == {path.relative_to(EVERYTHING).as_posix(): path.read_bytes() for path in travelling}
    assert len(found) == 6


def test_the_pods_read_the_resolved_experiment() -> None:
    config_map = of_kind(rendered(EVERYTHING), "ConfigMap")[0]
    document = json.loads(config_map["data"]["experiment.json"])
    assert ExperimentDocument.model_validate(document).experiment() == plan(EVERYTHING).experiment


def test_keys_of_files_are_distinct_whatever_their_paths(tmp_path: Path) -> None:
    files = ("a/b.py", "a_b.py", "a b.py", "ä.py", "_.py", "model.py")
    experiment(
        tmp_path, {path: f"# {path}\n".encode() for path in files} | {"model.py": b"def build(): ...\n"}
    )
    keys = set(of_kind(rendered(tmp_path), "ConfigMap")[0]["data"]) - {"experiment.json"}
    assert len(keys) == len(files) + 1  # and data.py
    assert all(re.fullmatch(r"[-._a-zA-Z0-9]+", key) for key in keys)


def test_too_much_code_is_refused_with_the_largest_files(tmp_path: Path) -> None:
    experiment(tmp_path, {"large.py": b"#" * LARGEST_BYTES, "small.py": b"", "sub/second.py": b"#" * 5000})
    with pytest.raises(ExperimentErrors) as told:
        rendered(tmp_path)
    text = str(told.value)
    assert "large.py (900 KiB), sub/second.py (5 KiB)" in text
    assert "small.py" not in text
    assert "at most 900 KiB" in text


def test_what_is_just_small_enough_is_rendered(tmp_path: Path) -> None:
    experiment(tmp_path, {"large.py": b"#" * (LARGEST_BYTES - 8192)})
    config_map = of_kind(rendered(tmp_path), "ConfigMap")[0]
    assert sum(map(len, config_map["data"].values())) <= LARGEST_BYTES


@pytest.mark.parametrize("url", ["./runs", "/data/runs", "file:///perdure/storage/x", "memory://runs"])
def test_a_folder_that_ends_with_its_pod_is_refused(url: str) -> None:
    with pytest.raises(ExperimentErrors, match=r"spec\.storage\.url: a folder would be lost with its pod"):
        rendered(storage__url=url)


def test_a_folder_in_a_volume_is_no_less_than_an_object_store() -> None:
    shared = {"name": "shared", "mount_path": "/shared", "nfs": {"server": "a", "path": "/"}}
    rendered(storage__url="file:///shared/runs", pod__volumes=[shared])
    gone = {"name": "gone", "mount_path": "/shared", "emptyDir": {}}
    with pytest.raises(ExperimentErrors, match="lost with its pod"):
        rendered(storage__url="file:///shared/runs", pod__volumes=[gone])


@pytest.mark.parametrize(
    ("settings", "directory", "claim"),
    [
        ({}, "file:///perdure/storage/digits/a-run", "perdure-runs"),
        ({"storage__path": "b/c"}, "file:///perdure/storage/b/c/digits/a-run", "perdure-runs"),
        ({"storage__claim": "mine"}, "file:///perdure/storage/digits/a-run", "mine"),
        ({"storage__create": {"name": "new"}}, "file:///perdure/storage/digits/a-run", "new"),
        ({"storage__url": "gs://bucket/runs/"}, "gs://bucket/runs/digits/a-run", None),
    ],
)
def test_worker_0_alone_reaches_the_storage(
    settings: dict[str, Any], directory: str, claim: str | None
) -> None:
    for worker in (0, 1):
        assert environment(worker=worker, **settings)["PERDURE_RUN_DIRECTORY"] == directory
        volumes = [
            volume
            for volume in pod(worker=worker, **settings)["volumes"]
            if "persistentVolumeClaim" in volume
        ]
        claims = [volume["persistentVolumeClaim"]["claimName"] for volume in volumes]
        assert claims == ([claim] if claim is not None and worker == 0 else [])


@pytest.mark.parametrize("settings", [{"storage__claim": "mine"}, {"storage__url": "s3://b/r"}])
def test_no_claim_is_made_where_the_storage_is_there(settings: dict[str, Any]) -> None:
    assert of_kind(rendered(**settings), "PersistentVolumeClaim") == []


def test_secrets_reach_worker_0_alone_unless_all_are_to_have_them() -> None:
    chief, other = (json.dumps(jobs(EVERYTHING)[worker]) for worker in (0, 1))
    for secret in ("store-credentials", "tracker", "wandb", "chat", "pager"):
        assert f'"{secret}"' in chief
        assert f'"{secret}"' not in other
    for shared in ("proxy", "shared", "proxies"):
        assert f'"{shared}"' in chief
        assert f'"{shared}"' in other
    assert environment(EVERYTHING, worker=0)["ONE"] == "1"
    assert "ONE" not in environment(EVERYTHING, worker=1)


def test_the_address_of_a_notification_is_a_key_of_a_secret_that_a_run_can_do_without() -> None:
    found = environment(EVERYTHING, worker=0)
    slack = {"name": "chat", "key": "slack", "optional": True}
    assert found["SLACK_WEBHOOK_URL"] == {"secretKeyRef": slack}
    assert found["PAGER_URL"] == {"secretKeyRef": {"name": "pager", "key": "url", "optional": True}}
    here = environment(worker=0, notifications=[{"to": "slack", "variable": "OWN"}])
    assert "OWN" not in here, "without a Secret it comes from somewhere else"


@pytest.mark.parametrize("folder", [DIGITS, EVERYTHING])
def test_pods_pass_the_restricted_standard_with_a_read_only_root(folder: Path) -> None:
    for worker in (0, 1):
        spec = pod(folder, worker)
        security = spec["securityContext"]
        assert security["runAsNonRoot"] is True
        assert security["runAsUser"] > 0
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}
        assert security["fsGroupChangePolicy"] == "OnRootMismatch"
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
        assert spec["automountServiceAccountToken"] is False
        assert spec["enableServiceLinks"] is False
        inner = spec["containers"][0]["securityContext"]
        assert inner == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        written = {
            mount["mountPath"] for mount in spec["containers"][0]["volumeMounts"] if "readOnly" not in mount
        }
        assert {"/tmp", "/dev/shm", environment(folder, worker)["HOME"]} <= written
        assert environment(folder, worker)["XDG_CACHE_HOME"] in written


def test_a_default_run_fits_on_a_small_machine() -> None:
    assert container()["resources"] == {"requests": {"cpu": "1"}}


def test_memory_and_gpus_are_limits_and_cpus_are_not() -> None:
    resources = {"cpu": 3, "memory": "4Gi", "gpu": 2}
    assert container(pod__resources=resources)["resources"] == {
        "requests": {"cpu": "3", "memory": "4Gi"},
        "limits": {"memory": "4Gi", "nvidia.com/gpu": "2"},
    }


@pytest.mark.parametrize(
    ("amount", "cpus"), [("4", 4), ("0.5", 1), ("500m", 1), ("1500m", 2), ("3.001", 4), ("0", 1)]
)
def test_threads_are_counted_by_whole_cpus(amount: str, cpus: int) -> None:
    assert whole_cpus(amount) == cpus
    assert environment(pod__resources={"cpu": amount})["PERDURE_CPUS"] == str(cpus)


def test_tf_config_names_every_worker_up_to_64() -> None:
    many = {"workers": 64, "training__global_batch_size": 64}
    addresses = [f"a-run-worker-{worker}.a-run.team.svc:7462" for worker in range(64)]
    for worker in (0, 63):
        found = from_tf_config({"TF_CONFIG": environment(worker=worker, **many)["TF_CONFIG"]})
        assert found is not None
        assert list(found.addresses) == addresses
        assert found.worker == worker
    more = {"workers": 65, "training__global_batch_size": 65}
    assert "TF_CONFIG" not in environment(worker=64, **more)


def test_a_pod_has_the_name_that_the_others_know() -> None:
    headless = of_kind(rendered(), "Service")[0]
    assert headless["spec"]["clusterIP"] == "None"
    assert headless["spec"]["publishNotReadyAddresses"] is True
    for worker in (0, 1):
        spec = pod(worker=worker)
        assert (spec["hostname"], spec["subdomain"]) == (
            f"a-run-worker-{worker}",
            headless["metadata"]["name"],
        )


def test_the_leader_is_found_by_an_address_of_its_own() -> None:
    service = of_kind(rendered(), "Service")[1]
    assert "clusterIP" not in service["spec"]
    assert service["spec"]["publishNotReadyAddresses"] is True
    host, port = environment(worker=1)["PERDURE_LEADER"].split(":")
    assert host == service["metadata"]["name"]
    assert [str(each["port"]) for each in service["spec"]["ports"]] == [port]
    labels = {worker: job["spec"]["template"]["metadata"]["labels"] for worker, job in jobs().items()}
    selected = [worker for worker in labels if service["spec"]["selector"].items() <= labels[worker].items()]
    assert selected == [0]


def test_only_a_runs_own_pods_and_readers_of_metrics_get_in() -> None:
    own = {"podSelector": {"matchLabels": {"perdure.dev/run": "a-run"}}}
    closed = of_kind(rendered(), "NetworkPolicy")[0]["spec"]
    assert closed == {**own, "policyTypes": ["Ingress"], "ingress": [{"from": [own]}]}
    first, second = of_kind(rendered(metrics={"from": ["b", "a"]}), "NetworkPolicy")[0]["spec"]["ingress"]
    assert first == {"from": [own]}
    names = {"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["a", "b"]}
    assert second == {
        "from": [{"namespaceSelector": {"matchExpressions": [names]}}],
        "ports": [{"port": 7461, "protocol": "TCP"}],
    }


def test_each_exit_has_its_consequence() -> None:
    spec = jobs()[0]["spec"]
    assert spec["backoffLimit"] == 100
    assert spec["podReplacementPolicy"] == "Failed"
    assert "activeDeadlineSeconds" not in spec
    assert spec["template"]["spec"]["restartPolicy"] == "Never"
    fail, disrupted, ignored = spec["podFailurePolicy"]["rules"]
    assert (fail["action"], fail["onExitCodes"]["values"]) == ("FailJob", [64, 65, 70, 77, 78])
    assert (disrupted["action"], disrupted["onPodConditions"][0]["type"]) == ("Ignore", "DisruptionTarget")
    assert (ignored["action"], ignored["onExitCodes"]["values"]) == ("Ignore", [75, 76, 143])
    in_place = container()["restartPolicyRules"][0]["exitCodes"]["values"]
    final = set(fail["onExitCodes"]["values"])
    assert ExitCode.OK not in {*in_place, *final}
    assert not final & set(in_place)
    assert all(low < high for codes in (in_place, sorted(final)) for low, high in pairwise(codes))


@pytest.mark.parametrize("server", [OLD, KubeVersion(1, 35), NEW, KubeVersion(1, 40), KubeVersion(2, 0)])
def test_containers_restart_in_place_where_the_server_can(server: KubeVersion) -> None:
    given = jobs(server=server)[0]["spec"]["template"]["spec"]["containers"][0]
    assert ("restartPolicyRules" in given) == ("restartPolicy" in given) == (server >= KubeVersion(1, 35))


def test_older_servers_are_refused() -> None:
    with pytest.raises(ValueError, match=r"1\.33 is too old"):
        render(plan(), KubeVersion(1, 33))


@pytest.mark.parametrize("name", ["1-run", "a" * 49, "Run"])
def test_names_that_no_service_can_have_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="received"):
        render(replace(plan(), name=name), NEW)


def test_durations_reach_their_objects() -> None:
    settings = {"restart__notice": "5m", "restart__node_lost_after": "1m30s", "deadline": "2h", "ttl": "7d"}
    manifests = rendered(**settings)
    annotations = of_kind(manifests, "ConfigMap")[0]["metadata"]["annotations"]
    assert annotations["perdure.dev/node-lost-after"] == "90"
    assert annotations["perdure.dev/ttl"] == "604800"
    for job in of_kind(manifests, "Job"):
        assert job["spec"]["activeDeadlineSeconds"] == 2 * 7200 + 24 * 3600
        assert job["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] == 300
        assert "ttlSecondsAfterFinished" not in job["spec"]
    assert environment(**settings)["PERDURE_GRACE"] == "300"


def test_weights_that_do_not_travel_are_refused(tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    experiment(inner, {})
    (tmp_path / "start.keras").write_bytes(b"x")
    with pytest.raises(ExperimentErrors, match="does not travel with the experiment"):
        rendered(inner, training__initial_weights="../start.keras")


def test_a_runs_pods_are_drawn_together_beside_the_users_own_rules() -> None:
    wishes = pod(EVERYTHING)["affinity"]["podAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
    labels = [wish["podAffinityTerm"]["labelSelector"]["matchLabels"] for wish in wishes]
    assert labels == [{"app": "cache"}, *[{"perdure.dev/run": "a-run"}] * 2]
    assert "nodeAffinity" in pod(EVERYTHING)["affinity"]


def experiment(folder: Path, files: dict[str, bytes]) -> None:
    """Writes a small experiment with some more files."""
    whole = {
        "experiment.yaml": SMALL.encode(),
        "model.py": b"def build(): ...\n",
        "data.py": b"def load(): ...\n",
        **files,
    }
    for path, content in whole.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)


def test_a_spread_without_a_selector_is_over_the_runs_own_pods() -> None:
    rule = {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}
    chosen = {"matchLabels": {"app": "a"}}
    found = pod(pod__topology_spread=[rule, {**rule, "topologyKey": "rack", "labelSelector": chosen}])
    selectors = [each["labelSelector"] for each in found["topologySpreadConstraints"]]
    assert selectors == [{"matchLabels": {"perdure.dev/run": "a-run"}}, chosen]
