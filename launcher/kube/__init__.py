"""The only owner of the `kubernetes` client: a narrow protocol, the real thing behind it, and its errors.

`connect` is imported late, from `launcher.kube.client`: the client behind it takes half a second.
"""

from launcher.kube.api import Kube, LogRequest, Object
from launcher.kube.errors import (
    Cause,
    ConflictError,
    ForbiddenError,
    InvalidError,
    KubeError,
    NoClusterError,
    NotFoundError,
    TooOldError,
    UnauthorizedError,
    UnreachableError,
)
from launcher.kube.kinds import (
    CLAIM,
    CONFIG_MAP,
    EVENT,
    JOB,
    NETWORK_POLICY,
    NODE,
    POD,
    SERVICE,
    Kind,
    kind_of,
)

__all__ = [
    "CLAIM",
    "CONFIG_MAP",
    "EVENT",
    "JOB",
    "NETWORK_POLICY",
    "NODE",
    "POD",
    "SERVICE",
    "Cause",
    "ConflictError",
    "ForbiddenError",
    "InvalidError",
    "Kind",
    "Kube",
    "KubeError",
    "LogRequest",
    "NoClusterError",
    "NotFoundError",
    "Object",
    "TooOldError",
    "UnauthorizedError",
    "UnreachableError",
    "kind_of",
]
