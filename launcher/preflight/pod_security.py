"""Checks that the namespace lets the pods of a run in: its Pod Security Standard, and what else guards it.

Jobs pass where their pods do not: the standard is enforced on pods, which come after the submit. What pods
are by themselves passes `restricted`; so only what the experiment file adds can be in the way.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from launcher import naming
from launcher.experiment_error import KeyPath
from launcher.kube import JOB, NAMESPACE, POD, Access, ForbiddenError, InvalidError
from launcher.preflight.code import Code
from launcher.preflight.demand import pod_demand
from launcher.preflight.finding import Finding, of_experiment
from launcher.preflight.sight import Sight
from launcher.preflight.subject import Subject

_ENFORCED = "pod-security.kubernetes.io/enforce"
_POD: KeyPath = ("spec", "pod")
_NO_UID = "00000000-0000-0000-0000-000000000000"
_HOST = ("hostNetwork", "hostPID", "hostIPC")
_RESTRICTED_VOLUMES = {
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image", "persistentVolumeClaim", "projected",
    "secret",
}  # fmt: skip
_MAY_ADD = {"NET_BIND_SERVICE"}
_BASELINE_MAY_ADD = _MAY_ADD | {
    "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "SETFCAP", "SETGID",
    "SETPCAP", "SETUID", "SYS_CHROOT",
}  # fmt: skip

Violation = tuple[KeyPath, str]


def pod_security(sight: Sight, subject: Subject) -> Iterator[Finding]:
    """Finds what the namespace's standard forbids, where its labels may be read."""
    namespace = sight.get(NAMESPACE, sight.kube.namespace)
    demand = pod_demand(subject.plan)
    if namespace is None or demand is None:
        return
    level = (namespace["metadata"].get("labels") or {}).get(_ENFORCED, "privileged")
    if level not in ("baseline", "restricted"):
        return
    for key, what in _violations(demand.template["spec"], subject, restricted=level == "restricted"):
        told = f"{what}, which {level} forbids in namespace {sight.kube.namespace}"
        yield of_experiment(subject.source, Code.POD_SECURITY, key, told)


def pod_refused(sight: Sight, subject: Subject) -> Iterator[Finding]:
    """Has the server check worker 0's pod, where one may make pods: all that guards them has its say."""
    demand = pod_demand(subject.plan)
    if demand is None:
        return
    if not all(sight.allows(Access(verb, POD)) for verb in ("create", "patch")):
        return
    name = naming.job_name(subject.plan.name, 0)
    # As a Job's pod has it: some clusters refuse pods that nothing owns.
    owner = {
        "apiVersion": JOB.api_version,
        "kind": JOB.name,
        "name": name,
        "uid": _NO_UID,
        "controller": True,
    }
    metadata = {
        **demand.template["metadata"],
        "name": name,
        "namespace": sight.kube.namespace,
        "ownerReferences": [owner],
    }
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": demand.template["spec"]}
    try:
        sight.kube.apply(pod, naming.APPLY_MANAGER, dry_run=True, whole=False)
    except (ForbiddenError, InvalidError) as error:
        # What others use of a quota now says nothing of later; another check compares the amounts.
        if "exceeded quota" not in error.why:
            what = f"the server refuses worker 0's pod: {' '.join(error.why.split())}"
            yield of_experiment(subject.source, Code.POD_REFUSED, _POD, what)


def _violations(spec: Mapping[str, Any], subject: Subject, *, restricted: bool) -> Iterator[Violation]:
    template = (*_POD, "template")
    for shared in _HOST:
        if spec.get(shared):
            yield (*template, "spec", shared), f"the pods have {shared}"
    own = {volume.name: index for index, volume in enumerate(subject.spec.pod.volumes)}
    for volume in spec.get("volumes") or []:
        sources = set(volume) - {"name"}
        if "hostPath" in sources or (restricted and not sources <= _RESTRICTED_VOLUMES):
            index = own.get(volume.get("name", ""))
            key: KeyPath = (*template, "spec", "volumes") if index is None else (*_POD, "volumes", index)
            yield key, f"volume {volume.get('name')} is {', '.join(sorted(sources))}"
    pod_context = spec.get("securityContext") or {}
    yield from ((template, what) for what in _context(pod_context, "the pod", restricted=restricted))
    for container in _containers(spec):
        name = f"container {container.get('name')}"
        context = container.get("securityContext") or {}
        found = [*_context(context, name, restricted=restricted), *_privileges(container, name, restricted)]
        yield from (((*template, "spec"), what) for what in found)


def _containers(spec: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    return [*(spec.get("initContainers") or []), *(spec.get("containers") or [])]


def _context(context: Mapping[str, Any], of: str, *, restricted: bool) -> Iterator[str]:
    if (context.get("seccompProfile") or {}).get("type") == "Unconfined":
        yield f"{of} has no seccomp profile"
    if restricted and context.get("runAsUser") == 0:
        yield f"{of} would be root (runAsUser: 0)"
    if restricted and context.get("runAsNonRoot") is False:
        yield f"{of} might be root (runAsNonRoot: false)"


def _privileges(container: Mapping[str, Any], of: str, restricted: bool) -> Iterator[str]:
    context = container.get("securityContext") or {}
    capabilities = context.get("capabilities") or {}
    if context.get("privileged"):
        yield f"{of} is privileged"
    if any(port.get("hostPort") for port in container.get("ports") or []):
        yield f"{of} has a hostPort"
    added = set(capabilities.get("add") or []) - (_MAY_ADD if restricted else _BASELINE_MAY_ADD)
    if added:
        yield f"{of} adds the capabilities {', '.join(sorted(added))}"
    if restricted and context.get("allowPrivilegeEscalation") is not False:
        yield f"{of} does not say allowPrivilegeEscalation: false"
    if restricted and "ALL" not in (capabilities.get("drop") or []):
        yield f"{of} does not drop all capabilities"
