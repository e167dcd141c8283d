"""The Job that deletes a run's directory is one that a cluster takes, with no more than it needs."""

import kubernetes_validate

from launcher.manifests import KubeVersion
from launcher.manifests.removal import removal_job
from tests.launcher.cluster.samples import plan

SETTINGS = (
    "pod.resources={cpu: 2, memory: 4Gi, gpu: 2}",
    "pod.env={TOKEN: {secret: store, key: token}}",
    "pod.volumes=[{name: cache, mount_path: /cache, emptyDir: {}}]",
    "restart.notice=5m",
)


def test_it_is_valid_and_asks_for_no_accelerator() -> None:
    for version in (KubeVersion(1, 34), KubeVersion(1, 37)):
        made = removal_job(plan(*SETTINGS), version)
        kubernetes_validate.validate(made, str(version), strict=True)
        spec = made["spec"]["template"]["spec"]
        (container,) = spec["containers"]
        assert container["resources"] == {
            "requests": {"cpu": "2", "memory": "4Gi"},
            "limits": {"memory": "4Gi"},
        }
        assert "livenessProbe" not in container
        assert "restartPolicyRules" not in container
        assert spec["restartPolicy"] == "Never"
        assert spec["securityContext"]["runAsNonRoot"] is True


def test_it_reaches_the_storage_as_worker_0_does() -> None:
    (container,) = removal_job(plan(*SETTINGS), KubeVersion(1, 37))["spec"]["template"]["spec"]["containers"]
    names = [each["name"] for each in container["env"]]
    assert {"TOKEN", "PERDURE_RUN", "PERDURE_RUN_DIRECTORY"} <= set(names)
    assert "/perdure/storage" in [each["mountPath"] for each in container["volumeMounts"]]
