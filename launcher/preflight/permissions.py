"""What the verbs need to be allowed: the same as k8s/base/rbac.yaml grants, but for watching."""

from dataclasses import dataclass

from launcher.kube import (
    CLAIM,
    CONFIG_MAP,
    EVENT,
    JOB,
    NETWORK_POLICY,
    NODE,
    POD,
    SERVICE,
    Access,
    Kind,
)
from launcher.preflight.code import Severity
from launcher.preflight.subject import Subject


@dataclass(frozen=True)
class Need:
    """Something that a verb of `perdure` does.

    Attributes:
        access: What it is.
        severity: How bad it is without.
        lost: What does not work without.
    """

    access: Access
    severity: Severity
    lost: str

    @property
    def of(self) -> str:
        """The objects, as in a role."""
        below = self.access.subresource
        return f"{self.access.kind.plural}/{below}" if below else self.access.kind.plural


def _needs(kind: Kind, verbs: str, severity: Severity, lost: str, subresource: str = "") -> list[Need]:
    return [Need(Access(verb, kind, subresource), severity, lost) for verb in verbs.split()]


_CLAIM = _needs(CLAIM, "get create patch", Severity.ERROR, "submit makes the claim of storage")

_ALWAYS = [
    *(
        need
        for kind in (CONFIG_MAP, SERVICE, NETWORK_POLICY, JOB)
        for need in (
            *_needs(kind, "get list create patch", Severity.ERROR, "submit makes the run of them"),
            *_needs(kind, "delete", Severity.WARNING, "delete and healing take them away"),
        )
    ),
    *_needs(POD, "get list", Severity.WARNING, "status and wait look at them"),
    *_needs(POD, "delete", Severity.WARNING, "healing gives up those on lost nodes"),
    *_needs(POD, "get", Severity.WARNING, "logs and status read them", "log"),
    *_needs(EVENT, "list", Severity.NOTE, "they tell why a pod does not start"),
    *_needs(NODE, "get list", Severity.NOTE, "they tell which nodes are lost, and which fit"),
]


def needs(subject: Subject | None) -> list[Need]:
    """What has to be allowed for a run, or for any run.

    Args:
        subject: The run; None for any.
    """
    if subject is not None and subject.spec.storage.created_claim() is None:
        return list(_ALWAYS)
    return [*_ALWAYS, *_CLAIM]
