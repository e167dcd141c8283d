"""A cluster in memory, behind the protocol of `launcher.kube`, for logic that lies above that edge.

It does what the API server and the garbage collector do to objects, and what a test tells it of pods. It has
no controllers: tests say when a pod comes and goes.
"""

from __future__ import annotations

import copy
import functools
import itertools
import json
import threading
import zlib
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar, cast

from launcher import naming
from launcher.kube import (
    POD,
    Access,
    ConflictError,
    ForbiddenError,
    InvalidError,
    Kind,
    KubeError,
    LogRequest,
    NotFoundError,
    Object,
    UnreachableError,
    kind_of,
)
from launcher.manifests import KubeVersion

START = 1_800_000_000.0


_Call = TypeVar("_Call", bound=Callable[..., Any])


def _one_at_a_time(call: _Call) -> _Call:
    """Several threads may call, as they may a server."""

    @functools.wraps(call)
    def locked(self: FakeCluster, *arguments: Any, **more: Any) -> Any:
        with self.lock:
            return call(self, *arguments, **more)

    return cast(_Call, locked)


class Killed(BaseException):
    """The process that calls was killed."""


def stamp(time: float) -> str:
    return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class FakeCluster:
    namespace = "team"

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.now = START
        self.objects: dict[tuple[str, str], Object] = {}
        self.calls: list[tuple[str, str, str]] = []
        self.writes_left: int | None = None
        """A write behind so many ends with Killed; its effect is there, or not, as `killed_after` says."""
        self.killed_after = False
        self.refuses: dict[str, KubeError] = {}
        """Errors of a write of an object, by `kind/name`."""
        self.logs: dict[str, list[str]] = {}
        self.around: dict[tuple[str, str], Object] = {}
        """What was there before any run: get and list find it, too."""
        self.add("v1", "Namespace", "team")
        default = {"annotations": {"storageclass.kubernetes.io/is-default-class": "true"}}
        self.add("storage.k8s.io/v1", "StorageClass", "standard", metadata=default)
        self.denied: set[tuple[str, str]] = set()
        """What is not allowed: verb and the plural of a kind, or `pods/log`; those calls are refused."""
        self.unanswered: set[str] = set()
        """Pods whose nodes give no log."""
        self._uids = itertools.count(1)

    # The protocol.

    def version(self) -> KubeVersion:
        return KubeVersion(1, 37)

    @_one_at_a_time
    def apply(
        self,
        manifest: Mapping[str, Any],
        manager: str,
        *,
        dry_run: bool = False,
        force: bool = False,
        whole: bool = True,
    ) -> Object:
        kind, name = kind_of(manifest).name, manifest["metadata"]["name"]
        if not dry_run:
            self._write("apply", kind, name)
        if f"{kind}/{name}" in self.refuses:
            raise self.refuses[f"{kind}/{name}"]
        found = self.objects.get((kind, name))
        uid = manifest["metadata"].get("uid")
        if uid is not None and (found is None or found["metadata"]["uid"] != uid):
            raise ConflictError(f"apply {kind}/{name}", "uid mismatch")
        if kind == "ConfigMap" and found is not None and found.get("data") != manifest.get("data"):
            raise InvalidError(f"apply {kind}/{name}", "field is immutable when `immutable` is set")
        applied = self._merged(found, manifest, manager)
        if not dry_run:
            self.objects[kind, name] = applied
            self._after()
        return copy.deepcopy(applied)

    def allows(self, access: Access) -> bool:
        resource = f"{access.kind.plural}/{access.subresource}".rstrip("/")
        return (access.verb, resource) not in self.denied

    def get(self, kind: Kind, name: str, *, whole: bool = True) -> Object:
        self.calls.append(("get", kind.name, name))
        if ("get", kind.plural) in self.denied:
            raise ForbiddenError(f"read {kind.name}/{name}", f"{kind.plural} is forbidden")
        known = {**self.around, **self.objects}
        if (kind.name, name) not in known:
            raise NotFoundError(f"read {kind.name}/{name}", "not found")
        return copy.deepcopy(known[kind.name, name])

    @_one_at_a_time
    def list(
        self,
        kind: Kind,
        selector: str,
        *,
        whole: bool = True,
        fields: str = "",
        page: int | None = None,
        everywhere: bool = False,
    ) -> list[Object]:
        self.calls.append(("list", kind.name, selector or fields))
        if ("list", kind.plural) in self.denied:
            raise ForbiddenError(f"list {kind.plural}", f"{kind.plural} is forbidden")
        found = [
            each
            for (name, _), each in {**self.around, **self.objects}.items()
            if name == kind.name and _fits(each, selector) and _has_fields(each, fields)
        ]
        kept = (
            found
            if whole
            else [{key: each[key] for key in ("apiVersion", "kind", "metadata")} for each in found]
        )
        listed = copy.deepcopy(kept)
        for each, of in zip(listed, found, strict=True):
            each["metadata"]["resourceVersion"] = _version(of)
        return listed

    @_one_at_a_time
    def delete(
        self,
        kind: Kind,
        name: str,
        *,
        uid: str | None = None,
        version: str | None = None,
        force: bool = False,
    ) -> None:
        self._write("delete", kind.name, name)
        found = self.objects.get((kind.name, name))
        if found is None:
            raise NotFoundError(f"delete {kind.name}/{name}", "not found")
        if uid is not None and found["metadata"]["uid"] != uid:
            raise ConflictError(f"delete {kind.name}/{name}", "uid mismatch")
        if version and _version(found) != version:
            raise ConflictError(f"delete {kind.name}/{name}", "resource version mismatch")
        self._remove(found, force=force)
        self._after()

    def log(self, pod: str, request: LogRequest) -> Iterator[str]:
        self.calls.append(("log", "Pod", pod))
        if pod in self.unanswered:
            raise UnreachableError(f"read the log of pod/{pod}", "its node does not answer")
        if ("get", "pods/log") in self.denied:
            raise ForbiddenError(f"read the log of pod/{pod}", "pods/log is forbidden")
        if ("Pod", pod) not in self.objects:
            raise NotFoundError(f"read the log of pod/{pod}", "not found")
        key = f"{pod} previous" if request.previous else pod
        if key not in self.logs:
            raise InvalidError(f"read the log of pod/{pod}", "container is waiting to start")
        since = request.since or ""
        lines = [line for line in self.logs[key] if not since or line.partition(" ")[0] >= since]
        return iter(lines if request.tail is None else lines[len(lines) - request.tail :])

    # What a test does to it.

    def add(self, api_version: str, kind: str, name: str, **parts: Any) -> None:
        """Something that is there before any run."""
        metadata = {"name": name, **parts.pop("metadata", {})}
        self.around[kind, name] = {"apiVersion": api_version, "kind": kind, "metadata": metadata, **parts}

    def add_pod(self, run: str, worker: int, **changes: Any) -> str:
        """A running pod of a worker's Job; `changes` replace parts of its status."""
        job = self.objects["Job", naming.job_name(run, worker)]
        uid = self._uid()
        name = f"{job['metadata']['name']}-{uid}"
        self.objects["Pod", name] = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": name,
                "namespace": self.namespace,
                "uid": uid,
                "labels": job["metadata"]["labels"],
                "creationTimestamp": stamp(self.now),
                "ownerReferences": [{"uid": job["metadata"]["uid"]}],
            },
            "spec": {"nodeName": f"n{worker}"},
            "status": {},
        }
        job["status"] = {"startTime": job.get("status", {}).get("startTime") or stamp(self.now), "active": 1}
        self.set_pod(name, **({"phase": "Running", "state": {"running": {}}, "ready": True} | changes))
        return name

    def set_pod(
        self, name: str, *, phase: str, state: Mapping[str, Any], ready: bool = False, restarts: int = 0,
        last: Mapping[str, Any] | None = None, conditions: tuple[Mapping[str, Any], ...] = (),
    ) -> None:  # fmt: skip
        container = {"name": "trainer", "state": state, "restartCount": restarts, "lastState": last or {}}
        known = [{"type": "Ready", "status": str(ready)}, *conditions]
        self.objects["Pod", name]["status"] = {
            "phase": phase, "containerStatuses": [container], "conditions": known,
        }  # fmt: skip
        if phase in ("Failed", "Succeeded"):
            self._job_of(name)["status"]["active"] = 0

    def end_pod(self, name: str, code: int, message: str = "", **changes: Any) -> None:
        ended = {"exitCode": code, "message": message, "finishedAt": stamp(self.now)}
        self.set_pod(name, phase="Failed" if code else "Succeeded", state={"terminated": ended}, **changes)

    def remove_pod(self, name: str) -> None:
        """As a plain deletion does, once the pod has ended."""
        self._job_of(name)["status"]["active"] = 0
        del self.objects["Pod", name]

    def finish_job(self, run: str, worker: int, condition: str, reason: str = "") -> None:
        job = self.objects["Job", naming.job_name(run, worker)]
        job.setdefault("status", {})["conditions"] = [
            {
                "type": condition,
                "status": "True",
                "reason": reason,
                "message": reason and f"because of {reason}",
                "lastTransitionTime": stamp(self.now),
            }
        ]

    def add_event(self, kind: str, name: str, reason: str, message: str, *, at: float | None = None) -> None:
        time = stamp(self.now if at is None else at)
        self.objects["Event", f"{name}.{self._uid()}"] = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": f"{name}.1", "namespace": self.namespace},
            "type": "Warning",
            "reason": reason,
            "message": message,
            "count": 1,
            "involvedObject": {"kind": kind, "name": name},
            "lastTimestamp": time,
        }

    def add_node(self, name: str, ready: str = "True", since: float = START) -> None:
        self.objects["Node", name] = {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": name},
            "spec": {},
            "status": {
                "conditions": [{"type": "Ready", "status": ready, "lastTransitionTime": stamp(since)}]
            },
        }

    def names(self, kind: Kind) -> list[str]:
        return self.names_of(kind.name)

    def names_of(self, kind: str) -> list[str]:
        return sorted(name for (of, name) in self.objects if of == kind)

    def writes(self) -> list[tuple[str, str, str]]:
        return [call for call in self.calls if call[0] in ("apply", "delete")]

    def _job_of(self, pod: str) -> Object:
        (owner,) = self.objects["Pod", pod]["metadata"]["ownerReferences"]
        return next(each for each in self.objects.values() if each["metadata"].get("uid") == owner["uid"])

    def _write(self, verb: str, kind: str, name: str) -> None:
        if self.writes_left == 0 and not self.killed_after:
            raise Killed
        self.calls.append((verb, kind, name))

    def _after(self) -> None:
        if self.writes_left is not None:
            if self.writes_left == 0:
                raise Killed
            self.writes_left -= 1

    def _uid(self) -> str:
        return f"u{next(self._uids)}"

    def _merged(self, found: Object | None, manifest: Mapping[str, Any], manager: str) -> Object:
        """Fields are merged as mappings; which manager owns what is kept only for `spec.suspend`."""
        if found is None:
            found = {"metadata": {"uid": self._uid(), "creationTimestamp": stamp(self.now)}}
        merged: Object = _merge(copy.deepcopy(found), manifest)
        if "suspend" in manifest.get("spec", {}):
            merged["metadata"]["managedFields"] = [
                {"manager": manager, "operation": "Apply", "fieldsV1": {"f:spec": {"f:suspend": {}}}}
            ]
        return merged

    def _remove(self, found: Object, *, force: bool) -> None:
        kind, metadata = found["kind"], found["metadata"]
        if kind == POD.name and not force and found["status"].get("phase") == "Running":
            metadata["deletionTimestamp"] = stamp(self.now + 30)
            return
        del self.objects[kind, metadata["name"]]
        owned = [
            each for each in self.objects.values()
            if any(owner["uid"] == metadata["uid"] for owner in each["metadata"].get("ownerReferences") or ())
        ]  # fmt: skip
        for each in owned:
            self._remove(each, force=False)


def _version(found: Object) -> str:
    """A `resourceVersion` that differs where anything of the object does; old states have old ones."""
    return str(zlib.crc32(json.dumps(found, sort_keys=True).encode()))


def _merge(into: Object, new: Mapping[str, Any]) -> Object:
    for key, value in new.items():
        if isinstance(value, Mapping) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = copy.deepcopy(value)
    return into


def _has_fields(found: Object, fields: str) -> bool:
    """Of top level fields alone."""
    return all(
        found.get(key) == value
        for key, _, value in (part.partition("=") for part in fields.split(",") if part)
    )


def _fits(found: Object, selector: str) -> bool:
    labels = found["metadata"].get("labels") or {}
    parts = (part.partition("=") for part in selector.split(",") if part)
    return all(labels.get(key) == value if equals else key in labels for key, equals, value in parts)
