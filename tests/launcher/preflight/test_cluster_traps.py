"""One test for each trap that only the cluster shows, and each finding's place in the experiment file."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from launcher import naming
from launcher.kube import Access, ForbiddenError, InvalidError, Object, TooOldError
from launcher.manifests import KubeVersion
from launcher.preflight import Code, Finding, Severity, check_cluster
from launcher.preflight.measured import Measured
from launcher.preflight.permissions import needs
from tests.launcher.cluster.fake_cluster import FakeCluster
from tests.launcher.cluster.samples import plan, submitted
from tests.launcher.preflight.subjects import EXPERIMENT, changed, line_of, subject

END = "    image: registry.example/trainer:1\n"
ROOT = Path(__file__).parents[3]
Change = Callable[[FakeCluster], None]


def node(name: str, *, labels: Any = None, taints: Any = (), annotations: Any = None, **has: str) -> Change:
    amounts = {
        "cpu": "8",
        "memory": "64Gi",
        "pods": "110",
        **{key.replace("__", "."): has[key] for key in has},
    }

    def add(cluster: FakeCluster) -> None:
        cluster.add(
            "v1", "Node", name, metadata={"labels": labels or {}, "annotations": annotations or {}},
            spec={"taints": list(taints)}, status={"allocatable": amounts},
        )  # fmt: skip

    return add


def claim(name: str, *modes: str, phase: str = "Bound", size: str = "10Gi", of: str = "slow") -> Change:
    def add(cluster: FakeCluster) -> None:
        cluster.add("storage.k8s.io/v1", "StorageClass", "slow", volumeBindingMode="Immediate")
        wants_pod = "WaitForFirstConsumer"
        cluster.add("storage.k8s.io/v1", "StorageClass", "late", volumeBindingMode=wants_pod)
        cluster.add(
            "v1", "PersistentVolumeClaim", name, spec={"accessModes": list(modes), "storageClassName": of},
            status={"phase": phase, "capacity": {"storage": size}},
        )  # fmt: skip

    return add


def namespace(**labels: str) -> Change:
    found = {f"pod-security.kubernetes.io/{key}": value for key, value in labels.items()}
    return lambda cluster: cluster.add("v1", "Namespace", "team", metadata={"labels": found})


def quota(*, used: Any = None, hard: Any, **spec: Any) -> Change:
    status = {"hard": hard, "used": used or {}}
    return lambda cluster: cluster.add(
        "v1", "ResourceQuota", "ours", spec={"hard": hard, **spec}, status=status
    )


def limit_range(**default: str) -> Change:
    limits = [{"type": "Container", "default": default}]
    return lambda cluster: cluster.add("v1", "LimitRange", "ours", spec={"limits": limits})


def other_run(claim_name: str) -> Change:
    def add(cluster: FakeCluster) -> None:
        labels = {naming.MANAGED_BY: naming.APP, naming.WORKER: "0", naming.RUN: "other"}
        volumes = [{"name": "perdure-storage", "persistentVolumeClaim": {"claimName": claim_name}}]
        spec = {"nodeName": "n1", "volumes": volumes}
        cluster.add("v1", "Pod", "p", metadata={"labels": labels}, spec=spec, status={"phase": "Running"})

    return add


def refused(error: type[ForbiddenError] | type[InvalidError], why: str) -> Change:
    return lambda cluster: cluster.refuses.update({"Pod/a-run-worker-0": error("check", why)})


def several(*changes: Change) -> Change:
    def all_of_them(cluster: FakeCluster) -> None:
        for each in changes:
            each(cluster)

    return all_of_them


@dataclass(frozen=True)
class Trap:
    """On a cluster with `there`, `add` to the experiment's end is found as `code` in the line of `at`."""

    code: Code
    add: str
    at: str
    told: str
    there: Change = lambda _: None
    severity: Severity = Severity.ERROR
    measured: Measured | None = None


VOLUME = "    volumes:\n      - {name: data, mount_path: /data, persistentVolumeClaim: {claimName: data}}\n"
STORAGE = "  storage:\n    claim: runs\n"


def volume(source: str) -> str:
    return VOLUME.replace("persistentVolumeClaim: {claimName: data}", source)


TWO_NODES = several(node("n1"), node("n2"))
GPU = "    resources: {gpu: 2}\n"
WARNING = Severity.WARNING

TRAPS = {
    "a claim of storage": Trap(
        Code.CLAIM_MISSING, STORAGE, "claim: runs",
        "there is no persistentvolumeclaim runs in namespace team",
    ),
    "a claim of a volume": Trap(Code.CLAIM_MISSING, VOLUME, "claimName: data", "persistentvolumeclaim data"),
    "a claim without a volume": Trap(
        Code.CLAIM_NOT_BOUND, STORAGE, "claim: runs", "claim runs is Pending",
        claim("runs", "ReadWriteOnce", phase="Pending"), WARNING,
    ),
    "a claim for one node, of all workers": Trap(
        Code.CLAIM_OF_ONE_NODE, VOLUME, "claimName: data",
        "2 workers mount claim data, which is ReadWriteOnce",
        several(TWO_NODES, claim("data", "ReadWriteOnce")), WARNING,
    ),
    "a claim for one pod, of all workers": Trap(
        Code.CLAIM_OF_ONE_NODE, VOLUME, "claimName: data", "which is ReadWriteOncePod",
        claim("data", "ReadWriteOncePod"), WARNING,
    ),
    "a claim that another run has": Trap(
        Code.CLAIM_IN_USE, STORAGE, "claim: runs",
        "claim runs is ReadWriteOnce, and run other has it on node n1",
        several(TWO_NODES, claim("runs", "ReadWriteOnce"), other_run("runs")), WARNING,
    ),
    "a storage class": Trap(
        Code.STORAGE_CLASS_MISSING, "  storage:\n    create: {storage_class: fast}\n", "storage_class: fast",
        "there is no storage class fast",
    ),
    "a default storage class": Trap(
        Code.STORAGE_CLASS_MISSING, "  storage:\n    create: {}\n", "create: {}", "no default storage class",
        lambda cluster: cluster.add("storage.k8s.io/v1", "StorageClass", "standard"),
    ),
    "space of a claim that is there": Trap(
        Code.SPACE_TOO_SMALL, STORAGE, "claim: runs", "take 8 GiB, by run earlier, and the claim has 7 GiB",
        claim("runs", "ReadWriteOnce", size="7Gi"), WARNING, Measured("earlier", 2 << 30),
    ),
    "space of a claim that is to be made": Trap(
        Code.SPACE_TOO_SMALL, "  storage:\n    create: {size: 7Gi}\n", "create:", "the claim has 7 GiB",
        lambda _: None, WARNING, Measured("earlier", 2 << 30),
    ),
    "the Secret of the storage": Trap(
        Code.SECRET_MISSING, "  storage:\n    secret: keys\n", "secret: keys", "there is no secret keys",
    ),
    "the Secret of a variable": Trap(
        Code.SECRET_MISSING, "    env:\n      TOKEN: {secret: keys, key: token}\n", "secret: keys",
        "no secret keys",
    ),
    "the Secret of all variables": Trap(
        Code.SECRET_MISSING, "    env_from:\n      - secret: keys\n", "secret: keys", "no secret keys",
    ),
    "the Secret of a volume": Trap(
        Code.SECRET_MISSING, volume("secret: {secretName: k}"),
        "secretName: k", "no secret k ",
    ),
    "the Secret of a registry": Trap(
        Code.SECRET_MISSING, "    image_pull_secrets:\n      - keys\n", "- keys", "no secret keys",
        lambda _: None, WARNING,
    ),
    "the Secret of a notification": Trap(
        Code.SECRET_MISSING, "  notifications:\n    - {to: slack, secret: keys}\n", "secret: keys",
        "no secret keys", lambda _: None, WARNING,
    ),
    "a ConfigMap": Trap(
        Code.CONFIG_MAP_MISSING, "    env_from:\n      - config_map: hosts\n", "config_map: hosts",
        "there is no configmap hosts in namespace team",
    ),
    "a PriorityClass": Trap(
        Code.PRIORITY_CLASS_MISSING, "    priority_class: first\n", "priority_class",
        "no priorityclass first",
    ),
    "a RuntimeClass": Trap(
        Code.RUNTIME_CLASS_MISSING, "    runtime_class: fast\n", "runtime_class", "no runtimeclass fast",
    ),
    "a ServiceAccount": Trap(
        Code.SERVICE_ACCOUNT_MISSING, "    service_account: me\n", "service_account", "no serviceaccount me",
    ),
    "the namespace of Prometheus": Trap(
        Code.METRICS_NAMESPACE_MISSING, "  metrics:\n    from:\n      - monitoring\n", "- monitoring",
        "there is no namespace monitoring", lambda _: None, WARNING,
    ),
    "GPUs that no node has": Trap(
        Code.NO_NODE_FITS, GPU, "gpu: 2", "n1 and 1 more: has 0 of 2 nvidia.com/gpu", TWO_NODES, WARNING,
    ),
    "more memory than any node has": Trap(
        Code.NO_NODE_FITS, "    resources: {memory: 100Gi}\n", "memory: 100Gi", "n1 has 64 GiB of 100 GiB",
        node("n1"), WARNING,
    ),
    "a label that no node has": Trap(
        Code.NO_NODE_FITS, "    node_selector:\n      pool: gpu\n", "pool: gpu", "n1 has no label pool=gpu",
        node("n1", labels={"pool": "cpu"}), WARNING,
    ),
    "a taint that is not tolerated": Trap(
        Code.NO_NODE_FITS, "    tolerations: []\n", "tolerations: []",
        "n1 has the taint dedicated=team:NoSchedule",
        node("n1", taints=[{"key": "dedicated", "value": "team", "effect": "NoSchedule"}]), WARNING,
    ),
    "a label that the template asks for": Trap(
        Code.NO_NODE_FITS, "    template: {spec: {nodeSelector: {pool: gpu}}}\n", "template:",
        "n1 has no label pool=gpu", node("n1"), WARNING,
    ),
    "CPUs that the template asks for": Trap(
        Code.NO_NODE_FITS,
        "    template: {spec: {containers: [{name: trainer, resources: {requests: {cpu: '1e3'}}}]}}\n",
        "template:", "n1 has 8 of 1000 cpu", node("n1"), WARNING,
    ),
    "fewer places than workers": Trap(
        Code.TOO_FEW_PLACES, GPU, "workers: 2", "all nodes together would take 1, were they empty",
        several(node("n1", **{"nvidia__com/gpu": "2"}), node("n2")), WARNING,
    ),
    "a quota that the run exceeds": Trap(
        Code.QUOTA_TOO_SMALL, GPU, "gpu: 2",
        "the run takes 4 of requests.nvidia.com/gpu, and quota ours has 2",
        quota(hard={"requests.nvidia.com/gpu": "2"}),
    ),
    "a quota that others have used": Trap(
        Code.QUOTA_TOO_SMALL, "    resources: {cpu: 3}\n", "cpu: 3", "has 8, of which 5 are used",
        quota(hard={"requests.cpu": "8"}, used={"requests.cpu": "5"}), WARNING,
    ),
    "a quota of pods": Trap(
        Code.QUOTA_TOO_SMALL, "", "workers: 2", "the run takes 2 of pods", quota(hard={"pods": "1"}),
    ),
    "a quota of what no pod says": Trap(
        Code.QUOTA_NEEDS_LIMITS, "    resources: {cpu: 1}\n", "cpu: 1",
        "quota ours is of limits.cpu, which the pods do not say", quota(hard={"limits.cpu": "100"}),
    ),
    "a volume that the namespace forbids": Trap(
        Code.POD_SECURITY, volume("nfs: {server: s, path: /}"),
        "name: data", "volume data is nfs, which restricted forbids in namespace team",
        namespace(enforce="restricted"),
    ),
    "a network that the namespace forbids": Trap(
        Code.POD_SECURITY, "    template:\n      spec:\n        hostNetwork: true\n", "hostNetwork",
        "the pods have hostNetwork, which baseline forbids", namespace(enforce="baseline"),
    ),
    "a container that the namespace forbids": Trap(
        Code.POD_SECURITY,
        "    template:\n      spec: {initContainers: [{name: a, securityContext: {privileged: true}}]}\n",
        "initContainers", "container a is privileged", namespace(enforce="baseline"),
    ),
    "what the server says of the pod": Trap(
        Code.POD_REFUSED, "", "  pod:", "the server refuses worker 0's pod: violates our rules",
        refused(ForbiddenError, "violates our rules"),
    ),
}  # fmt: skip


def found_on(cluster: FakeCluster, folder: Path, add: str = "", **more: Any) -> list[Finding]:
    return check_cluster(cluster, subject(folder, changed(END, END + add), **more))


@pytest.mark.parametrize("trap", [pytest.param(trap, id=name) for name, trap in TRAPS.items()])
def test_a_trap_is_found_in_its_line(trap: Trap, tmp_path: Path) -> None:
    cluster = FakeCluster()
    trap.there(cluster)
    (found,) = found_on(cluster, tmp_path, trap.add, measured=trap.measured)
    place = (str(tmp_path / "experiment.yaml"), line_of(trap.at, changed(END, END + trap.add)))
    assert (found.code, found.severity, (found.file, found.line)) == (trap.code, trap.severity, place)
    assert trap.told in found.what


FINE = {
    "a claim that waits for its pod": (STORAGE, claim("runs", "ReadWriteOnce", phase="Pending", of="late")),
    "a claim of a class that nobody made": (
        STORAGE,
        claim("runs", "ReadWriteOnce", phase="Pending", of="manual"),
    ),
    "a claim for one node on one node": (VOLUME, several(node("n1"), claim("data", "ReadWriteOnce"))),
    "a claim for all": (VOLUME, several(TWO_NODES, claim("data", "ReadOnlyMany"))),
    "another run on a shared claim": (
        STORAGE,
        several(TWO_NODES, claim("runs", "ReadWriteMany"), other_run("runs")),
    ),
    "a Secret that may be missing": (
        volume("secret: {secretName: k, optional: true}"),
        lambda _: None,
    ),
    "a taint that is tolerated": (
        "    tolerations: [{key: dedicated, operator: Exists}]\n",
        node("n1", taints=[{"key": "dedicated", "value": "team", "effect": "NoSchedule"}]),
    ),
    "a taint that is tolerated whatever its effect": (
        "    tolerations: [{key: dedicated, value: team, effect: null}]\n",
        node("n1", taints=[{"key": "dedicated", "value": "team", "effect": "NoSchedule"}]),
    ),
    "next to no memory": (
        "    template: {spec: {containers: [{name: trainer, resources: {requests: {memory: 1e-30}}}]}}\n",
        node("n1"),
    ),
    "the taint of a GPU": (
        GPU,
        node("n1", taints=[{"key": "nvidia.com/gpu", "effect": "NoSchedule"}], **{"nvidia__com/gpu": "4"}),
    ),
    "a quota with room": ("", quota(hard={"requests.cpu": "2", "count/jobs.batch": "2", "pods": "2"})),
    "a quota of some pods only": ("", quota(hard={"pods": "1"}, scopes=["BestEffort"])),
    "limits by default": ("", several(quota(hard={"limits.cpu": "100"}), limit_range(cpu="2"))),
    "a quota that others have used up": ("", refused(ForbiddenError, "exceeded quota: ours")),
    "what restricted allows": ("", namespace(enforce="restricted")),
    "what nothing forbids": (
        "    template:\n      spec:\n        hostNetwork: true\n",
        namespace(warn="restricted"),
    ),
}


@pytest.mark.parametrize(("add", "there"), FINE.values(), ids=FINE)
def test_what_is_no_trap_is_not_found(add: str, there: Change, tmp_path: Path) -> None:
    cluster = FakeCluster()
    there(cluster)
    assert found_on(cluster, tmp_path, add) == []


HIDDEN = (
    "secrets", "serviceaccounts", "resourcequotas", "limitranges", "priorityclasses", "runtimeclasses",
    "storageclasses", "namespaces",
)  # fmt: skip
"""What k8s/base/rbac.yaml lets nobody read."""


@pytest.mark.parametrize("trap", [pytest.param(trap, id=name) for name, trap in TRAPS.items()])
def test_what_may_not_be_read_is_never_an_error(trap: Trap, tmp_path: Path) -> None:
    cluster = FakeCluster()
    trap.there(cluster)
    cluster.denied = {(verb, kind) for verb in ("get", "list") for kind in HIDDEN} | {("create", "pods")}
    codes = {each.code for each in found_on(cluster, tmp_path, trap.add, measured=trap.measured)}
    seen = {Code.CLAIM_MISSING, Code.CLAIM_OF_ONE_NODE, Code.CLAIM_IN_USE, Code.SPACE_TOO_SMALL}
    seen |= {Code.CONFIG_MAP_MISSING, Code.NO_NODE_FITS, Code.TOO_FEW_PLACES}
    assert codes == ({trap.code} & seen)


def test_every_code_of_a_cluster_has_its_trap() -> None:
    codes = list(Code)
    of_run = set(codes[codes.index(Code.SPACE_TOO_SMALL) :]) - {
        Code.SERVER_TOO_OLD, Code.NAMESPACE_MISSING, Code.PERMISSION_MISSING, Code.POLICY_NOT_ENFORCED,
        Code.POLICY_UNKNOWN,
    }  # fmt: skip
    assert {trap.code for trap in TRAPS.values()} == of_run


def whats(findings: Iterable[Finding]) -> list[tuple[Code, str]]:
    return [(each.code, each.what) for each in findings]


def test_a_server_that_is_too_old() -> None:
    class Old(FakeCluster):
        def version(self) -> KubeVersion:
            raise TooOldError("run there", "it is Kubernetes 1.30, and runs need 1.34 or newer", "")

    assert whats(check_cluster(Old(), None)) == [
        (Code.SERVER_TOO_OLD, "it is Kubernetes 1.30, and runs need 1.34 or newer")
    ]


def test_a_namespace_that_is_not_there_is_all_that_is_told(tmp_path: Path) -> None:
    cluster = FakeCluster()
    del cluster.around["Namespace", "team"]
    assert whats(found_on(cluster, tmp_path, STORAGE)) == [
        (Code.NAMESPACE_MISSING, "there is no namespace team")
    ]


def test_missing_permissions_are_told_by_kind_with_what_is_lost(tmp_path: Path) -> None:
    cluster = FakeCluster()
    cluster.denied = {("create", "jobs"), ("patch", "jobs"), ("get", "pods/log"), ("list", "nodes")}
    found = found_on(cluster, tmp_path)
    assert [(each.severity, each.what) for each in found] == [
        (Severity.ERROR, "you may not create, patch jobs in namespace team: submit makes the run of them"),
        (Severity.WARNING, "you may not get pods/log in namespace team: logs and status read them"),
        (Severity.NOTE, "you may not list nodes: they tell which nodes are lost, and which fit"),
    ]


def test_the_pod_that_the_server_checks_is_owned_as_a_pod_of_a_job(tmp_path: Path) -> None:
    class NoNakedPods(FakeCluster):
        def apply(self, manifest: Mapping[str, Any], manager: str, **how: bool) -> Object:
            (owner,) = manifest["metadata"].get("ownerReferences") or [{"kind": "nothing"}]
            if (owner["kind"], owner["name"], owner["controller"]) != ("Job", "a-run-worker-0", True):
                raise ForbiddenError("check", "pods need an owner")
            return super().apply(manifest, manager, **how)

    assert found_on(NoNakedPods(), tmp_path) == []


def test_a_claim_of_storage_that_nobody_can_write(tmp_path: Path) -> None:
    cluster = FakeCluster()
    claim("runs", "ReadOnlyMany")(cluster)
    (found,) = found_on(cluster, tmp_path, STORAGE)
    assert (found.code, found.severity, found.line) == (
        Code.STORAGE_READ_ONLY, Severity.ERROR, line_of("claim: runs", changed(END, END + STORAGE)),
    )  # fmt: skip


def test_a_claim_without_a_class_waits_for_no_pod(tmp_path: Path) -> None:
    cluster = FakeCluster()
    claim("runs", "ReadWriteOnce", phase="Pending", of="")(cluster)
    assert [each.code for each in found_on(cluster, tmp_path, STORAGE)] == [Code.CLAIM_NOT_BOUND]


def test_permissions_that_may_not_be_asked_for_are_unknown(tmp_path: Path) -> None:
    class Silent(FakeCluster):
        def allows(self, access: Access) -> bool:
            raise ForbiddenError(f"ask whether it is allowed to {access.verb}", "no")

    assert found_on(Silent(), tmp_path) == []


def test_the_claim_of_others_needs_no_permission_to_make_one(tmp_path: Path) -> None:
    cluster = FakeCluster()
    cluster.denied = {("create", "persistentvolumeclaims")}
    claim("runs", "ReadWriteMany")(cluster)
    assert found_on(cluster, tmp_path, STORAGE) == []
    assert [each.code for each in found_on(cluster, tmp_path)] == [Code.PERMISSION_MISSING]
    claim("perdure-runs", "ReadWriteOnce")(cluster)
    assert found_on(cluster, tmp_path) == []


def test_what_is_needed_is_what_the_role_grants_but_for_watching() -> None:
    granted: set[tuple[str, str, str]] = set()
    for each in yaml.safe_load_all((ROOT / "k8s" / "base" / "rbac.yaml").read_text()):
        for rule in each.get("rules", ()):
            granted |= {
                (group, resource, verb)
                for group in rule["apiGroups"]
                for resource in rule["resources"]
                for verb in rule["verbs"]
                if verb != "watch"
            }
    wanted = {
        (need.access.kind.api_version.rpartition("/")[0], need.of, need.access.verb) for need in needs(None)
    }
    assert wanted == granted


@pytest.mark.parametrize(
    ("noted", "codes"),
    [
        ({}, [Code.POLICY_UNKNOWN]),
        ({"projectcalico.org/IPv4Address": "10.0.0.1"}, []),
        ({"flannel.alpha.coreos.com/backend-type": "vxlan"}, [Code.POLICY_NOT_ENFORCED]),
        ({"flannel.alpha.coreos.com/backend-type": "vxlan", "k3s.io/hostname": "n1"}, []),
    ],
)
def test_networks_are_told_by_what_they_note_at_nodes(noted: dict[str, str], codes: list[Code]) -> None:
    cluster = FakeCluster()
    node("n1", annotations=noted)(cluster)
    assert [each.code for each in check_cluster(cluster, None)] == codes


def test_an_unknown_network_is_no_finding_of_a_run(tmp_path: Path) -> None:
    cluster = FakeCluster()
    node("n1")(cluster)
    assert found_on(cluster, tmp_path) == []


def test_a_run_that_is_there_is_not_in_its_own_way(tmp_path: Path) -> None:
    cluster = submitted()
    quota(hard={"pods": "2"}, used={"pods": "2"})(cluster)
    again = subject(tmp_path, EXPERIMENT)
    assert check_cluster(cluster, replace(again, plan=plan())) == []
