"""The pod template of one worker, before the experiment file's patch.

It passes the `restricted` Pod Security Standard with a read-only root file system.
"""

from functools import lru_cache
from typing import Any

from launcher import naming
from launcher.manifests.environment import sources, variables
from launcher.manifests.plan import RESTART_RULES, KubeVersion, RunPlan
from launcher.manifests.shared import Shared, share
from launcher.manifests.volumes import mounted_volumes
from trainer.contract import pod
from trainer.contract.pod_problems import WISHES

RESTARTED_IN_PLACE = (1, 134, 135, 137, 139, 143)
"""Exits after which the container starts again in its pod: a crash, an abort, a bus error, a kill (out of
memory, or frozen for long), a segmentation fault, a SIGTERM without a deletion of the pod."""

_AVOID_DISRUPTION = {
    "cluster-autoscaler.kubernetes.io/safe-to-evict": "false",
    "karpenter.sh/do-not-disrupt": "true",
}


def pod_template(plan: RunPlan, worker: int, server: KubeVersion) -> dict[str, Any]:
    """Renders it.

    Args:
        plan: What decides the run.
        worker: Zero-based number of the worker.
        server: Version of the server.
    """
    spec, container = _common(plan, server, chief=worker == 0)
    return {
        "metadata": {
            "labels": {
                **plan.experiment.spec.pod.labels,
                **naming.worker_labels(plan.name, plan.experiment.name, worker),
            },
            "annotations": _annotations(plan),
        },
        "spec": {
            **spec,
            "hostname": naming.job_name(plan.name, worker),
            "containers": [{**container, "env": variables(plan, worker)}],
        },
    }


@lru_cache(maxsize=4)
def _annotations(plan: RunPlan) -> Shared:
    spec = plan.experiment.spec
    avoid = _AVOID_DISRUPTION if spec.disruption == "avoid" else {}
    return Shared({**avoid, **spec.pod.annotations, naming.DIGEST: plan.digest})


@lru_cache(maxsize=4)
def _common(plan: RunPlan, server: KubeVersion, *, chief: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """A pod and its container, of worker 0 or of all others; None where each has something of its own."""
    spec = {
        "hostname": None,
        "subdomain": naming.service_name(plan.name),
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": plan.experiment.spec.restart.notice,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": pod.USER,
            "runAsGroup": pod.USER,
            "fsGroup": pod.USER,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        **_placement(plan),
        "containers": None,
        "volumes": [each.volume for each in mounted_volumes(plan, 0 if chief else 1)],
    }
    return _each_shared(spec), _each_shared(_container(plan, server, chief=chief))


def _each_shared(parts: dict[str, Any]) -> dict[str, Any]:
    return {key: share(part) for key, part in parts.items()}


def _placement(plan: RunPlan) -> dict[str, Any]:
    """What the experiment file says of where and how the pod is to run; nothing of what it leaves out."""
    wanted = plan.experiment.spec.pod
    same_run = {"matchLabels": {naming.RUN: plan.name}}
    placement = {
        "serviceAccountName": wanted.service_account,
        "imagePullSecrets": [{"name": name} for name in wanted.image_pull_secrets],
        "nodeSelector": dict(wanted.node_selector),
        "tolerations": list(wanted.tolerations),
        "affinity": _affinity(plan),
        # Without a selector a constraint matches no pod, and a run's name is not known in its file.
        "topologySpreadConstraints": [{"labelSelector": same_run, **rule} for rule in wanted.topology_spread],
        "priorityClassName": wanted.priority_class,
        "schedulerName": wanted.scheduler_name,
        "runtimeClassName": wanted.runtime_class,
    }
    return {key: value for key, value in placement.items() if value}


def _affinity(plan: RunPlan) -> dict[str, Any]:
    """The experiment file's rules, and the wish that a run's pods lie close together."""
    own = plan.experiment.spec.pod.affinity
    close = own.get("podAffinity") or {}
    same_run = {"matchLabels": {naming.RUN: plan.name}}
    packed = [
        {"weight": weight, "podAffinityTerm": {"labelSelector": same_run, "topologyKey": key}}
        for weight, key in ((100, "kubernetes.io/hostname"), (50, "topology.kubernetes.io/zone"))
    ]
    return {**own, "podAffinity": {**close, WISHES: [*(close.get(WISHES) or []), *packed]}}


def _container(plan: RunPlan, server: KubeVersion, *, chief: bool) -> dict[str, Any]:
    worker = 0 if chief else 1
    env_from = sources(plan, worker)
    container: dict[str, Any] = {
        "name": pod.CONTAINER,
        "image": plan.image,
        "imagePullPolicy": plan.experiment.spec.pod.image_pull_policy,
        "command": list(pod.COMMAND),
        "env": None,
        **({"envFrom": env_from} if env_from else {}),
        "ports": [_port("link", pod.LINK_PORT), _port("status", pod.STATUS_PORT)],
        "resources": _resources(plan),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        **_probes(),
        "terminationMessagePath": pod.TERMINATION_MESSAGE,
        "terminationMessagePolicy": "File",
        "volumeMounts": [each.mount for each in mounted_volumes(plan, worker)],
    }
    if server >= RESTART_RULES:
        codes = {"operator": "In", "values": list(RESTARTED_IN_PLACE)}
        container["restartPolicy"] = "Never"
        container["restartPolicyRules"] = [{"action": "Restart", "exitCodes": codes}]
    return container


def _resources(plan: RunPlan) -> dict[str, Any]:
    wanted = plan.experiment.spec.pod.resources
    requests, limits = {"cpu": wanted.cpu}, {}
    if wanted.memory is not None:
        requests["memory"] = limits["memory"] = wanted.memory
    if wanted.gpu:
        limits[wanted.gpu_resource] = str(wanted.gpu)
    return {"requests": requests, **({"limits": limits} if limits else {})}


def _probes() -> dict[str, Any]:
    """The supervisor answers all of them; it imports no TensorFlow, so it is up within seconds.

    One that does not answer for a minute is frozen: it cannot save, so its end is not waited for.
    """
    alive = {"httpGet": {"path": "/healthz", "port": pod.STATUS_PORT}}
    ready = {"httpGet": {"path": "/readyz", "port": pod.STATUS_PORT}}
    return {
        "startupProbe": {**alive, "periodSeconds": 2, "timeoutSeconds": 5, "failureThreshold": 60},
        "livenessProbe": {
            **alive,
            "periodSeconds": 10,
            "timeoutSeconds": 5,
            "failureThreshold": 6,
            "terminationGracePeriodSeconds": 5,
        },
        "readinessProbe": {**ready, "periodSeconds": 5, "timeoutSeconds": 5, "failureThreshold": 2},
    }


def _port(name: str, port: int) -> dict[str, Any]:
    return {"name": name, "containerPort": port, "protocol": "TCP"}
