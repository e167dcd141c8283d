"""Checks that what an experiment file names on the cluster is there."""

from collections.abc import Iterator
from dataclasses import dataclass

from launcher.experiment_error import KeyPath
from launcher.kube import (
    CLAIM,
    CONFIG_MAP,
    NAMESPACE,
    PRIORITY_CLASS,
    RUNTIME_CLASS,
    SECRET,
    SERVICE_ACCOUNT,
    Kind,
)
from launcher.preflight.code import Code, Severity
from launcher.preflight.finding import Finding, of_experiment
from launcher.preflight.sight import Sight
from launcher.preflight.subject import Subject
from trainer.contract.pod_spec import PodSpec

_POD: KeyPath = ("spec", "pod")
_CODES = {
    CLAIM: Code.CLAIM_MISSING,
    CONFIG_MAP: Code.CONFIG_MAP_MISSING,
    NAMESPACE: Code.METRICS_NAMESPACE_MISSING,
    PRIORITY_CLASS: Code.PRIORITY_CLASS_MISSING,
    RUNTIME_CLASS: Code.RUNTIME_CLASS_MISSING,
    SECRET: Code.SECRET_MISSING,
    SERVICE_ACCOUNT: Code.SERVICE_ACCOUNT_MISSING,
}
_IN_VOLUMES = (
    (SECRET, "secret", "secretName"),
    (CONFIG_MAP, "configMap", "name"),
    (CLAIM, "persistentVolumeClaim", "claimName"),
)
"""What volumes name: kind, Kubernetes' name of the source, and the key in it."""


@dataclass(frozen=True)
class Reference:
    """An object that an experiment file names.

    Attributes:
        kind: Its kind.
        name: Its name.
        key: Where it is named.
        severity: How bad it is if it is not there, where that is not as for all of its kind.
    """

    kind: Kind
    name: str
    key: KeyPath
    severity: Severity | None = None


def reference_missing(sight: Sight, subject: Subject) -> Iterator[Finding]:
    """Finds names of what is not there."""
    for each in _references(subject):
        if sight.lacks(each.kind, each.name):
            where = f" in namespace {sight.kube.namespace}" if each.kind.namespaced else ""
            what = f"there is no {each.kind.singular} {each.name}{where}"
            yield of_experiment(subject.source, _CODES[each.kind], each.key, what, severity=each.severity)


def _references(subject: Subject) -> Iterator[Reference]:
    spec = subject.spec
    if spec.storage.claim is not None:
        yield Reference(CLAIM, spec.storage.claim, ("spec", "storage", "claim"))
    if spec.storage.secret is not None:
        yield Reference(SECRET, spec.storage.secret, ("spec", "storage", "secret"))
    yield from _of_pod(spec.pod)
    yield from _of_environment(spec.pod)
    yield from _of_volumes(spec.pod)
    for index, each in enumerate(spec.notifications):
        if each.secret is not None:
            # The run trains without it, and tells nobody.
            key = ("spec", "notifications", index, "secret")
            yield Reference(SECRET, each.secret, key, Severity.WARNING)
    for index, name in enumerate(spec.metrics.from_namespaces):
        yield Reference(NAMESPACE, name, ("spec", "metrics", "from", index))


def _of_pod(pod: PodSpec) -> Iterator[Reference]:
    named = (
        (PRIORITY_CLASS, "priority_class", pod.priority_class),
        (RUNTIME_CLASS, "runtime_class", pod.runtime_class),
        (SERVICE_ACCOUNT, "service_account", pod.service_account),
    )
    for kind, key, name in named:
        if name is not None:
            yield Reference(kind, name, (*_POD, key))
    for index, name in enumerate(pod.image_pull_secrets):
        # The image is then pulled without it, which may well succeed.
        yield Reference(SECRET, name, (*_POD, "image_pull_secrets", index), Severity.WARNING)


def _of_environment(pod: PodSpec) -> Iterator[Reference]:
    for variable, value in pod.env.items():
        if value.secret is not None:
            yield Reference(SECRET, value.secret, (*_POD, "env", variable, "secret"))
    for index, source in enumerate(pod.env_from):
        if source.secret is not None:
            yield Reference(SECRET, source.secret, (*_POD, "env_from", index, "secret"))
        if source.config_map is not None:
            yield Reference(CONFIG_MAP, source.config_map, (*_POD, "env_from", index, "config_map"))


def _of_volumes(pod: PodSpec) -> Iterator[Reference]:
    for index, volume in enumerate(pod.volumes):
        for kind, source, key in _IN_VOLUMES:
            found = volume.source().get(source)
            if found is not None and isinstance(found.get(key), str) and not found.get("optional"):
                yield Reference(kind, found[key], (*_POD, "volumes", index, source, key))
