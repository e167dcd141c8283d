"""What can go wrong between the desk and a cluster: what, where, why, and what to do about it."""

from collections.abc import Sequence
from dataclasses import dataclass

from trainer.contract.exit_codes import ExitCode


@dataclass(frozen=True)
class Cause:
    """One of the things that are wrong with an object.

    Attributes:
        field: Which of its fields, such as `spec.template.spec.containers[0].image`.
        message: What is wrong with it.
    """

    field: str
    message: str


class KubeError(Exception):
    """A call to the cluster failed.

    Attributes:
        what: What was tried, such as `apply jobs/mine-worker-0 in namespace team`.
        why: What was answered, on as few lines as possible.
        hint: What to do; empty where there is nothing to say.
        causes: What is wrong with which fields, as far as the server names them.
        exit_code: What a command ends with that meets it.
    """

    exit_code = ExitCode.CRASH
    hint = ""

    def __init__(self, what: str, why: str, hint: str | None = None, causes: Sequence[Cause] = ()) -> None:
        self.what, self.why, self.causes = what, why, tuple(causes)
        if hint is not None:
            self.hint = hint
        super().__init__(what, why, self.hint)

    def __str__(self) -> str:
        told = f"cannot {self.what}: {self.why}"
        return f"{told}\n{self.hint}" if self.hint else told


class NoClusterError(KubeError):
    """There is no usable kubeconfig, so it isn't known which cluster is meant."""

    exit_code = ExitCode.USAGE
    hint = (
        "Set KUBECONFIG, or make `kubectl get nodes` work first; --context picks one of several clusters. "
        "`perdure run` needs none."
    )


class UnreachableError(KubeError):
    """The API server doesn't answer, or is not able to."""

    exit_code = ExitCode.UNAVAILABLE
    hint = "Is the cluster up, and the network to it? `kubectl version` asks the same server."


class UnauthorizedError(KubeError):
    """The API server doesn't know who asks (401): credentials are missing, wrong, or have expired."""

    exit_code = ExitCode.NO_PERMISSION
    hint = (
        "Your credentials are missing, wrong or have expired. Sign in again as your cluster wants it; "
        "`kubectl auth whoami` tells whether that worked."
    )


class ForbiddenError(KubeError):
    """The API server knows who asks, and refuses (403): missing rights, a quota, or Pod Security."""

    exit_code = ExitCode.NO_PERMISSION
    hint = "An administrator can grant it: k8s/base/rbac.yaml has the rights that Perdure needs."


class NotFoundError(KubeError):
    """There is no such object, or no such namespace (404)."""

    exit_code = ExitCode.USAGE


class ConflictError(KubeError):
    """The object has changed, is another by now, or someone else owns a field of it (409)."""

    exit_code = ExitCode.CONFIG


class InvalidError(KubeError):
    """The API server rejects what was sent (400, 422)."""

    exit_code = ExitCode.USAGE


class TooOldError(KubeError):
    """The server's version is older than what runs need."""

    exit_code = ExitCode.USAGE
