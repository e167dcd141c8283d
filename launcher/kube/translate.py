"""The API server's refusals as our own errors; the only place where its status codes and reasons are read."""

import json
import re
from typing import Any

from launcher.kube.errors import (
    Cause,
    ConflictError,
    ForbiddenError,
    InvalidError,
    KubeError,
    NotFoundError,
    UnauthorizedError,
    UnreachableError,
)

_LONGEST = 1200
"""Characters of a server's message that a person is shown."""

# How the server says that a right is missing, whichever.
_RIGHT = re.compile(
    r'User "(?P<user>[^"]+)" cannot (?P<verb>\S+) resource "(?P<resource>[^"]+)" '
    r'in API group "(?P<group>[^"]*)" (?:in the namespace "(?P<namespace>[^"]+)"|at the cluster scope)'
)
_UNKNOWN_FIELD = re.compile(r"\.((?:[\w.]|\[[^\]]*\])+): field not declared in schema")

_BY_STATUS: dict[int, type[KubeError]] = {
    400: InvalidError,
    401: UnauthorizedError,
    403: ForbiddenError,
    404: NotFoundError,
    405: InvalidError,
    409: ConflictError,
    413: InvalidError,
    415: InvalidError,
    422: InvalidError,
    429: UnreachableError,
}


def translate(what: str, server: str, status: int, data: bytes) -> KubeError:
    """An answer that is no success, as the error that fits.

    Args:
        what: What was tried.
        server: URL of the API server.
        status: HTTP status of the answer.
        data: Its body: a Kubernetes `Status`, if it came from the API server at all.
    """
    kind = _BY_STATUS.get(status, UnreachableError if status >= 500 else KubeError)
    answer = _status(data)
    # A field that no schema knows is an internal error to the server.
    if answer is not None and _UNKNOWN_FIELD.search(str(answer.get("message"))):
        kind = InvalidError
    if answer is None:
        text = " ".join(data.decode(errors="replace").split())
        return kind(what, _shortened(f"{server} answered {status} {text}".rstrip()))
    return kind(what, _why(answer), _hint(answer, kind), _causes(answer))


def _status(data: bytes) -> dict[str, Any] | None:
    try:
        answer = json.loads(data)
    except ValueError:
        return None
    return answer if isinstance(answer, dict) and answer.get("kind") == "Status" else None


def _why(answer: dict[str, Any]) -> str:
    """The server's reason; each of several causes on a line of its own."""
    message = str(answer.get("message") or answer.get("reason") or "no reason was given")
    if missing := _RIGHT.search(message):
        return f"{missing['user']} may not {missing['verb']} {missing['resource']} {_place(missing)}"
    causes = (answer.get("details") or {}).get("causes") or []
    owned = [_owned(cause) for cause in causes if cause.get("reason") == "FieldManagerConflict"]
    if owned:
        return _shortened("; ".join(owned))
    if len(causes) < 2:
        return _shortened(message)
    lines = [f"  {cause.get('field', '')}: {cause.get('message', '')}" for cause in causes]
    return _shortened("\n".join([f"{len(causes)} things are wrong", *lines]))


def _place(missing: re.Match[str]) -> str:
    return f"in namespace {missing['namespace']}" if missing["namespace"] else "in the whole cluster"


def _owned(cause: dict[str, Any]) -> str:
    """A field that somebody else has set: which, and who."""
    field, message = str(cause.get("field", "")).lstrip("."), str(cause.get("message", ""))
    owner = re.search(r'with "([^"]+)"', message)
    return f"field {field} belongs to {owner[1]}" if owner else f"field {field}: {message}"


def _causes(answer: dict[str, Any]) -> list[Cause]:
    found = (answer.get("details") or {}).get("causes") or []
    told = [Cause(str(each.get("field") or ""), str(each.get("message") or "")) for each in found]
    # A field that is in no schema is told in the message alone.
    unknown = _UNKNOWN_FIELD.finditer(str(answer.get("message") or ""))
    return told or [Cause(each[1], "unknown field") for each in unknown]


def _hint(answer: dict[str, Any], kind: type[KubeError]) -> str | None:
    """What to do, where the kind's own hint would mislead."""
    message, reason = str(answer.get("message", "")), answer.get("reason")
    details = answer.get("details") or {}
    if kind is NotFoundError and details.get("kind") == "namespaces":
        return f"Make the namespace first: kubectl create namespace {details.get('name')}"
    if kind is ForbiddenError:
        return _forbidden_hint(message)
    causes = {cause.get("reason") for cause in details.get("causes") or []}
    if "FieldManagerConflict" in causes:
        return "Someone has changed the object since; take the change back, or make a run of another name."
    if reason == "Timeout" or kind is UnreachableError:
        return "The server is overloaded or restarting; try again."
    return None


def _forbidden_hint(message: str) -> str | None:
    if "exceeded quota" in message:
        return "The namespace's quota is spent; `kubectl describe quota` shows what is used."
    if "violates PodSecurity" in message:
        return "The namespace's Pod Security Standard forbids what pod.template or pod.volumes adds."
    if "is being terminated" in message:
        return "The namespace is being deleted; wait for its end, or take another."
    missing = _RIGHT.search(message)
    return None if missing is None else _rule_to_ask_for(missing)


def _rule_to_ask_for(missing: re.Match[str]) -> str:
    user, verb, resource, group, namespace = missing.groups()
    kind = f"Role in namespace {namespace}" if namespace else "ClusterRole"
    rule = f'{{apiGroups: ["{group}"], resources: [{resource}], verbs: [{verb}]}}'
    whole = "k8s/base/rbac.yaml has all that Perdure needs"
    return f"Ask an administrator for a {kind} that is bound to {user}, with the rule {rule}; {whole}."


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST else text[:_LONGEST] + " …"
