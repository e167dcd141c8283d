"""Checks of the cluster itself, whatever is to run there: version, namespace, permissions, network."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from launcher.kube import CLAIM, NAMESPACE, NODE, TooOldError
from launcher.manifests.storage import claim_name
from launcher.preflight.code import Code, Severity
from launcher.preflight.finding import Finding, of_cluster
from launcher.preflight.permissions import Need, needs
from launcher.preflight.sight import Sight
from launcher.preflight.subject import Subject

_AT_ONCE = 16
_ENFORCING = (
    "projectcalico.org/", "io.cilium.", "network.cilium.io/", "node.antrea.io/", "k8s.ovn.org/", "k3s.io/",
    "rke2.io/", "kube-router.io/",
)  # fmt: skip
"""Networks that enforce NetworkPolicies, by how the keys of what they note at nodes begin."""
_NOT_ENFORCING = "flannel.alpha.coreos.com/"
"""Flannel alone does not; beside one of the others it only carries the packets."""


def server_too_old(sight: Sight, _: Subject | None) -> Iterator[Finding]:
    """Finds a server that runs are not rendered for."""
    try:
        sight.kube.version()
    except TooOldError as error:
        yield of_cluster(Code.SERVER_TOO_OLD, error.why)


def namespace_missing(sight: Sight, _: Subject | None) -> Iterator[Finding]:
    """Finds a namespace that is not there."""
    name = sight.kube.namespace
    if sight.lacks(NAMESPACE, name):
        yield of_cluster(Code.NAMESPACE_MISSING, f"there is no namespace {name}")


def permission_missing(sight: Sight, subject: Subject | None) -> Iterator[Finding]:
    """Asks the server for everything that the verbs do; one finding for each kind of object."""
    wanted = needs(subject)
    claim = None if subject is None else claim_name(subject.plan)
    if claim is not None and sight.get(CLAIM, claim) is not None:
        wanted = [need for need in wanted if need.access.kind != CLAIM]  # Submit leaves it as it is.
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        allowed = list(pool.map(sight.allows, (need.access for need in wanted)))
    missing: dict[str, list[Need]] = {}
    for need, is_allowed in zip(wanted, allowed, strict=True):
        if is_allowed is False:
            missing.setdefault(need.of, []).append(need)
    ranks = list(Severity)
    for of, found in missing.items():
        verbs = ", ".join(need.access.verb for need in found)
        where = f" in namespace {sight.kube.namespace}" if found[0].access.kind.namespaced else ""
        lost = "; ".join(dict.fromkeys(need.lost for need in found))
        worst = min((need.severity for need in found), key=ranks.index)
        yield of_cluster(Code.PERMISSION_MISSING, f"you may not {verbs} {of}{where}: {lost}", severity=worst)


def policy_not_enforced(sight: Sight, subject: Subject | None) -> Iterator[Finding]:
    """Finds a network that is known not to enforce NetworkPolicies.

    No API tells whether they are enforced; some networks note themselves at the nodes. What stays unknown is
    said only where the cluster itself was asked about.
    """
    nodes = sight.list(NODE) or []
    noted = {
        key
        for node in nodes
        for notes in ("annotations", "labels")
        for key in node["metadata"].get(notes) or {}
    }
    if any(key.startswith(_ENFORCING) for key in noted):
        return
    if any(key.startswith(_NOT_ENFORCING) for key in noted):
        yield of_cluster(
            Code.POLICY_NOT_ENFORCED, "the nodes' network is flannel, which enforces no NetworkPolicy"
        )
    elif subject is None:
        what = "nothing on the nodes tells whether their network enforces NetworkPolicies"
        yield of_cluster(Code.POLICY_UNKNOWN, what)
