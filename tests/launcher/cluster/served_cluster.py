"""The cluster in memory behind a real HTTP server, so that verbs are tested from their words to the wire."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from launcher.kube import (
    CLAIM,
    CONFIG_MAP,
    EVENT,
    JOB,
    LIMIT_RANGE,
    NAMESPACE,
    NETWORK_POLICY,
    NODE,
    POD,
    PRIORITY_CLASS,
    RESOURCE_QUOTA,
    RUNTIME_CLASS,
    SECRET,
    SERVICE,
    SERVICE_ACCOUNT,
    STORAGE_CLASS,
    Access,
    ConflictError,
    ForbiddenError,
    InvalidError,
    Kind,
    KubeError,
    LogRequest,
    NotFoundError,
)
from launcher.yaml_document import parse_yaml
from tests.launcher.cluster.fake_cluster import FakeCluster
from tests.launcher.kube.api_server import Answer, Request, refusal

_STATUSES = {NotFoundError: 404, ForbiddenError: 403, ConflictError: 409, InvalidError: 422}
_KINDS = {
    kind.plural: kind
    for kind in (
        CLAIM, CONFIG_MAP, SERVICE, POD, NODE, JOB, NETWORK_POLICY, EVENT, LIMIT_RANGE, NAMESPACE,
        PRIORITY_CLASS, RESOURCE_QUOTA, RUNTIME_CLASS, SECRET, SERVICE_ACCOUNT, STORAGE_CLASS,
    )
}  # fmt: skip


def answer(cluster: FakeCluster, request: Request) -> Answer:
    """What the API server of a cluster says."""
    if request.path == "/version":
        return Answer(body={"gitVersion": f"v{cluster.version()}.0"})
    if request.path.endswith("/selfsubjectaccessreviews"):
        asked = json.loads(request.body)["spec"]["resourceAttributes"]
        access = Access(asked["verb"], _KINDS[asked["resource"]], asked["subresource"])
        return Answer(201, {"status": {"allowed": cluster.allows(access)}})
    parts = request.path.split("/")
    plural = next(part for part in reversed(parts) if part in _KINDS)
    name, *below = [*parts[parts.index(plural) + 1 :], ""]
    try:
        return _answer(cluster, request, _KINDS[plural], name, below)
    except KubeError as error:
        return refusal(_STATUSES[type(error)], type(error).__name__, error.why)


def _answer(cluster: FakeCluster, request: Request, kind: Kind, name: str, below: list[str]) -> Answer:
    query = request.query
    if request.method == "PATCH":
        manifest: Mapping[str, Any] = parse_yaml(request.body.decode()).value
        force, dry_run = query["force"] == "true", query.get("dryRun") == "All"
        return Answer(body=cluster.apply(manifest, query["fieldManager"], dry_run=dry_run, force=force))
    if request.method == "DELETE":
        options = json.loads(request.body)
        conditions = options.get("preconditions", {})
        uid, version = conditions.get("uid"), conditions.get("resourceVersion")
        cluster.delete(kind, name, uid=uid, version=version, force=options.get("gracePeriodSeconds") == 0)
        return Answer()
    if below[:1] == ["log"]:
        tail = int(query["tailLines"]) if "tailLines" in query else None
        lines = cluster.log(name, LogRequest("previous" in query, tail, query.get("sinceTime")))
        return Answer(body="".join(f"{line}\n" for line in lines).encode())
    if name:
        return Answer(body=cluster.get(kind, name))
    whole = "PartialObjectMetadata" not in request.headers["accept"][0]
    selectors = query.get("labelSelector", ""), query.get("fieldSelector", "")
    items = cluster.list(kind, selectors[0], whole=whole, fields=selectors[1])
    return Answer(body={"items": items or None})
