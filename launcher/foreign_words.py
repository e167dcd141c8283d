"""What Kubernetes' parts say at length, as one short line, with the reason where only the text tells it."""

import re
from collections.abc import Sequence

from launcher.reasons import Reason

LONGEST = 240
"""Characters of such a line."""

_CREATING = re.compile(r'^Error creating: (pods "[^"]*" is forbidden: )?')
_QUOTA = re.compile(
    r"exceeded quota: (?P<name>\S+), requested: (?P<asked>.*), used: (?P<used>.*), limited: (?P<most>.*)"
)

# Patterns of what a Job's controller is answered when it makes a pod, the first that is found counts.
_REFUSALS: Sequence[tuple[str, Reason]] = (
    (r"exceeded quota|failed quota", Reason.QUOTA_EXCEEDED),
    (r"violates PodSecurity", Reason.POD_SECURITY),
    (r"admission webhook|ValidatingAdmissionPolicy|is forbidden|no PriorityClass", Reason.ADMISSION_REFUSED),
    (r" (usage|limit|request)s? per |serviceaccount .* not found", Reason.ADMISSION_REFUSED),
)

# The same of what the scheduler says.
_NO_PLACE: Sequence[tuple[str, Reason]] = (
    (r'persistentvolumeclaim "[^"]*" not found', Reason.CLAIM_MISSING),
    (r"unbound immediate PersistentVolumeClaims|persistent volumes? to bind", Reason.CLAIM_UNBOUND),
    (r"binding volumes|persistentvolumeclaim", Reason.CLAIM_UNBOUND),
)

# What the scheduler adds when it has also looked for pods that could give way.
_ASIDE = re.compile(r"[.,]? (preemption: |no new claims to deallocate).*", re.DOTALL)


def no_place(message: str) -> tuple[Reason, str]:
    """The scheduler's words for a pod that gets no node."""
    told = _ASIDE.sub("", message).removesuffix(".")
    return _first(_NO_PLACE, told, Reason.UNSCHEDULABLE), short(told)


def not_created(message: str) -> tuple[Reason, str]:
    """The words of an event FailedCreate: why a Job's controller could not make the pod."""
    forbidden = _CREATING.match(message)
    told = message[forbidden.end() :] if forbidden else message
    otherwise = Reason.ADMISSION_REFUSED if forbidden and forbidden[1] else Reason.POD_NOT_CREATED
    reason = _first(_REFUSALS, told, otherwise)
    if quota := _QUOTA.search(told):
        told = (
            f"quota {quota['name']} has no room: requested {quota['asked']}, used {quota['used']}, "
            f"limited to {quota['most']}"
        )
    return reason, short(told)


def not_pulled(message: str) -> str:
    """The kubelet's words for an image that it does not get: which, and the innermost cause."""
    image = re.search(r'image "([^"]+)"', message)
    _, cut, cause = message.rpartition(": ")
    if image is None or not cut:
        return short(message)
    return short(f"{image[1]}: {cause.strip()}")


def short(text: str) -> str:
    """A text on one line, its end cut off where it is too long."""
    line = " ".join(text.split())
    return line if len(line) <= LONGEST else line[: LONGEST - 2].rstrip() + " …"


def _first(patterns: Sequence[tuple[str, Reason]], text: str, otherwise: Reason) -> Reason:
    return next((reason for pattern, reason in patterns if re.search(pattern, text)), otherwise)
