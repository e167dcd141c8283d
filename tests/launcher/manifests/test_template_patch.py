"""The experiment file's patch of the pod template: it may change all but what resume needs."""

from typing import Any

import pytest

from launcher.experiment import ExperimentErrors
from tests.launcher.manifests.plans import jobs, pod, rendered


def trainer(**changes: Any) -> dict[str, Any]:
    return {"spec": {"containers": [{"name": "trainer", **changes}]}}


@pytest.mark.parametrize(
    ("patch", "key"),
    [
        ({"spec": {"restartPolicy": "OnFailure"}}, "spec.restartPolicy"),
        ({"spec": {"hostname": "other"}}, "spec.hostname"),
        ({"spec": {"subdomain": None}}, "spec.subdomain"),
        ({"spec": {"terminationGracePeriodSeconds": 5}}, "spec.terminationGracePeriodSeconds"),
        ({"metadata": {"labels": {"perdure.dev/run": "x"}}}, 'metadata.labels."perdure.dev/run"'),
        ({"metadata": {"labels": {"$patch": "replace"}}}, 'metadata.labels."perdure.dev/worker"'),
        ({"metadata": {"annotations": None}}, 'metadata.annotations."perdure.dev/digest"'),
        (trainer(command=["sh"]), "spec.containers.trainer.command"),
        (trainer(args=["-c"]), "spec.containers.trainer.args"),
        (trainer(restartPolicy="Always"), "spec.containers.trainer.restartPolicy"),
        (trainer(restartPolicyRules=None), "spec.containers.trainer.restartPolicyRules"),
        (trainer(terminationMessagePath="/x"), "spec.containers.trainer.terminationMessagePath"),
        (
            trainer(env=[{"name": "PERDURE_WORKER", "value": "1"}]),
            "spec.containers.trainer.env.PERDURE_WORKER",
        ),
        (trainer(env=[{"name": "HOME", "$patch": "delete"}]), "spec.containers.trainer.env.HOME"),
        (trainer(env=[{"$patch": "replace"}]), "spec.containers.trainer.env.TF_CONFIG"),
        (
            trainer(volumeMounts=[{"mountPath": "/perdure/code", "$patch": "delete"}]),
            'spec.containers.trainer.volumeMounts."/perdure/code"',
        ),
        (
            {"spec": {"volumes": [{"name": "perdure-storage", "persistentVolumeClaim": {"claimName": "x"}}]}},
            "spec.volumes.perdure-storage",
        ),
        (
            {"spec": {"containers": [{"name": "trainer", "$patch": "delete"}]}},
            "spec.containers.trainer.command",
        ),
        ({"spec": None}, "spec.hostname"),
        ({"apiVersion": "v1"}, "apiVersion"),
        ({"spec": {"$retainKeys": ["a"]}}, 'spec."$retainKeys"'),
        ({"spec": {"volumes": [{"emptyDir": {}}]}}, "spec.volumes.0"),
    ],
)
def test_what_resume_needs_cannot_be_changed(patch: dict[str, Any], key: str) -> None:
    with pytest.raises(ExperimentErrors) as told:
        rendered(pod__template=patch)
    assert f"spec.pod.template.{key}" in [error.key for error in told.value.errors]


def test_everything_that_is_taken_away_is_told_at_once() -> None:
    patch = {
        "spec": {"restartPolicy": "Always", "hostname": "x"},
        "metadata": {"labels": {"perdure.dev/run": "x"}},
    }
    with pytest.raises(ExperimentErrors) as told:
        rendered(pod__template=patch)
    found = [(error.key, error.received, error.expected) for error in told.value.errors]
    template = "spec.pod.template"
    assert found == [
        (f'{template}.metadata.labels."perdure.dev/run"', '"x"', '"a-run"'),
        (f"{template}.spec.restartPolicy", '"Always"', '"Never"'),
        (f"{template}.spec.hostname", '"x"', '"a-run-worker-0"'),
    ]
    assert str(told.value.errors[1]) == (
        "experiment digits: spec.pod.template.spec.restartPolicy: changed by the patch, "
        'received "Always", expected "Never", resume needs it as it is'
    )


@pytest.mark.parametrize(
    "patch",
    [
        {"metadata": {"labels": {"team": "a"}}},
        {"spec": {"hostNetwork": True, "dnsPolicy": "ClusterFirstWithHostNet"}},
        {"spec": {"initContainers": [{"name": "a", "image": "b"}]}},
        {"spec": {"volumes": [{"name": "perdure-scratch", "emptyDir": {"sizeLimit": "1Gi"}}]}},
        trainer(livenessProbe=None, env=[{"name": "MINE", "value": "1"}]),
        trainer(securityContext={"runAsUser": 1000}),
    ],
)
def test_all_else_can(patch: dict[str, Any]) -> None:
    assert pod(pod__template=patch) != pod() or jobs(pod__template=patch) != jobs()
