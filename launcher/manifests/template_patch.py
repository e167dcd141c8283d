"""Applies the experiment file's patch to a pod template, and checks that what resume needs still stands."""

from collections.abc import Iterator, Mapping
from typing import Any

from launcher import naming
from launcher.experiment_error import ExperimentError, ExperimentErrors, key_text, value_text
from launcher.manifests.environment import own_variables
from launcher.manifests.patch import KeyPath, PatchError, merge
from launcher.manifests.plan import KubeVersion, RunPlan
from launcher.manifests.pod_template import pod_template
from launcher.manifests.volumes import mounted_volumes
from trainer.contract import pod

TEMPLATE: KeyPath = ("spec", "pod", "template")
"""Where the patch stands in the experiment file."""

_POD_KEYS = ("restartPolicy", "hostname", "subdomain", "terminationGracePeriodSeconds")
_CONTAINER_KEYS = (
    "command",
    "args",
    "restartPolicy",
    "restartPolicyRules",
    "terminationMessagePath",
    "terminationMessagePolicy",
)
_HINTS = {
    "terminationGracePeriodSeconds": "set spec.restart.notice instead",
    "args": "the supervisor takes none",
}


def patched_template(plan: RunPlan, worker: int, server: KubeVersion) -> dict[str, Any]:
    """The pod template of a worker, the experiment file's patch applied.

    Args:
        plan: What decides the run.
        worker: Zero-based number of the worker.
        server: Version of the server.

    Raises:
        ExperimentErrors: The patch cannot be applied, or takes away what resume needs; all of it at once.
    """
    before = pod_template(plan, worker, server)
    patch = plan.experiment.spec.pod.template
    if not patch:
        return before
    try:
        after = merge(before, patch)
    except PatchError as error:
        raise ExperimentErrors([_error(plan, error.path, error.problem, None, error.expected)]) from error
    errors = [*_strangers(plan, patch), *_lost(plan, worker, before, after)]
    if errors:
        raise ExperimentErrors(errors)
    return after


def _strangers(plan: RunPlan, patch: Mapping[str, Any]) -> Iterator[ExperimentError]:
    for key in patch:
        if key not in ("metadata", "spec"):
            yield _error(plan, (key,), "unknown key", None, "metadata and spec of a pod template")


def _lost(
    plan: RunPlan, worker: int, before: Mapping[str, Any], after: Mapping[str, Any]
) -> Iterator[ExperimentError]:
    for path, wanted in _needed(plan, worker, before):
        found = _find(after, path)
        if found != wanted:
            name = str(path[-1])
            hint = _HINTS.get(name, "resume needs it as it is")
            expected = "nothing" if wanted is None else _shown(wanted)
            received = "nothing" if found is None else _shown(found)
            yield _error(plan, path, "changed by the patch", received, expected, hint)


def _needed(plan: RunPlan, worker: int, before: Mapping[str, Any]) -> Iterator[tuple[KeyPath, Any]]:
    """Yields what has to be the same behind the patch; entries of lists are named, not numbered."""
    labels = naming.worker_labels(plan.name, plan.experiment.name, worker)
    yield from ((("metadata", "labels", name), value) for name, value in labels.items())
    yield ("metadata", "annotations", naming.DIGEST), plan.digest
    yield from ((("spec", key), before["spec"].get(key)) for key in _POD_KEYS)
    container: KeyPath = ("spec", "containers", pod.CONTAINER)
    given = _find(before, container)
    yield from (((*container, key), given.get(key)) for key in _CONTAINER_KEYS)
    for variable in own_variables(plan, worker):
        yield (*container, "env", variable["name"]), variable
    for each in mounted_volumes(plan, worker):
        if each.needed:
            yield ("spec", "volumes", each.volume["name"]), each.volume
            yield (*container, "volumeMounts", each.mount["mountPath"]), each.mount


def _find(value: Any, path: KeyPath) -> Any:
    for part in path:
        if isinstance(value, Mapping):
            value = value.get(str(part))
        elif isinstance(value, list):
            key = "mountPath" if str(part).startswith("/") else "name"
            value = next(
                (item for item in value if isinstance(item, Mapping) and item.get(key) == part), None
            )
    return value


def _shown(value: Any) -> str:
    if isinstance(value, list) and all(isinstance(item, str | int) for item in value):
        return f"[{', '.join(value_text(item) for item in value)}]"
    if isinstance(value, Mapping) and "name" in value and "value" in value:
        return value_text(value["value"])
    return value_text(value)


def _error(
    plan: RunPlan,
    path: KeyPath,
    problem: str,
    received: str | None,
    expected: str | None,
    hint: str | None = None,
) -> ExperimentError:
    file = f"experiment {plan.experiment.name}"
    return ExperimentError(file, None, key_text((*TEMPLATE, *path)), problem, received, expected, hint)
