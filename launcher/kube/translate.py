"""The API server's refusals as our own errors; the only place where its status codes and reasons are read."""

import json
from typing import Any

from launcher.kube.errors import (
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
    if answer is None:
        text = " ".join(data.decode(errors="replace").split())
        return kind(what, _shortened(f"{server} answered {status} {text}".rstrip()))
    return kind(what, _why(answer), _hint(answer, kind))


def _status(data: bytes) -> dict[str, Any] | None:
    try:
        answer = json.loads(data)
    except ValueError:
        return None
    return answer if isinstance(answer, dict) and answer.get("kind") == "Status" else None


def _why(answer: dict[str, Any]) -> str:
    """The server's reason; each of several causes on a line of its own."""
    message = str(answer.get("message") or answer.get("reason") or "no reason was given")
    causes = (answer.get("details") or {}).get("causes") or []
    if len(causes) < 2:
        return _shortened(message)
    lines = [f"  {cause.get('field', '')}: {cause.get('message', '')}" for cause in causes]
    return _shortened("\n".join([f"{len(causes)} things are wrong", *lines]))


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
    return None


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST else text[:_LONGEST] + " …"
