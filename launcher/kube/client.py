"""A real cluster, over the Kubernetes client's authenticated HTTP and plain data.

Its typed models are left alone: they drop fields that they don't know, and refuse some that are right.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from kubernetes.client import ApiException
from kubernetes.client.rest import RESTResponse
from urllib3 import HTTPHeaderDict, HTTPResponse
from urllib3.exceptions import HTTPError
from urllib3.util import Timeout

from launcher.kube.api import Access, LogRequest, Object
from launcher.kube.configuration import Cluster, find_cluster
from launcher.kube.decoding import decoded
from launcher.kube.errors import KubeError, TooOldError, UnreachableError
from launcher.kube.kinds import POD, Kind, kind_of
from launcher.kube.translate import translate
from launcher.manifests import OLDEST, KubeVersion
from launcher.manifests.text import to_bytes

_APPLY = "application/apply-patch+yaml"
_ANYTHING = "application/json, */*"
_METADATA = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
_METADATA_OF_ONE = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
_REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
_CONNECT_SECONDS = 5.0
_READ_SECONDS = 60.0


def connect(
    namespace: str | None = None,
    context: str | None = None,
    on_warning: Callable[[str], None] = lambda _: None,
) -> "KubeClient":
    """Finds the cluster that kubectl would find; sends nothing yet.

    Args:
        namespace: Where to work; the kubeconfig's own if None.
        context: A context of the kubeconfig other than its current one.
        on_warning: Called with each warning of the server, once.

    Raises:
        NoClusterError: There is no usable kubeconfig.
    """
    return KubeClient(find_cluster(context), namespace, on_warning)


class KubeClient:
    """See `launcher.kube.api.Kube`; may be used by several threads at once."""

    def __init__(
        self,
        cluster: Cluster,
        namespace: str | None = None,
        on_warning: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._cluster = cluster
        self._namespace = namespace or cluster.namespace
        self._on_warning = on_warning
        self._warned: set[str] = set()

    @property
    def namespace(self) -> str:
        """See `Kube.namespace`."""
        return self._namespace

    def version(self) -> KubeVersion:
        """See `Kube.version`."""
        what = f"read the version of {self._cluster.server}"
        found = self._json("GET", "/version", what)
        try:
            version = KubeVersion.parse(str(found.get("gitVersion")))
        except ValueError as error:
            raise self._is_no_api(what) from error
        if version < OLDEST:
            raise TooOldError(
                f"run on {self._cluster.server}",
                f"it is Kubernetes {version}, and runs need {OLDEST} or newer",
                "Older ones replace a pod before the old one is gone, and so can run two at once.",
            )
        return version

    def apply(
        self,
        manifest: Mapping[str, Any],
        manager: str,
        *,
        dry_run: bool = False,
        force: bool = False,
        whole: bool = True,
    ) -> Object:
        """See `Kube.apply`."""
        kind, name = kind_of(manifest), manifest["metadata"]["name"]
        query = {"fieldManager": manager, "force": str(force).lower(), "fieldValidation": "Strict"}
        if dry_run:
            query["dryRun"] = "All"
        what = self._what("check" if dry_run else "apply", kind, name)
        path, body = kind.path(self._namespace, name), to_bytes(manifest)
        accept = _ANYTHING if whole else _METADATA_OF_ONE
        found = self._json("PATCH", path, what, query, body, _APPLY, accept=accept)
        # What is not whole calls itself PartialObjectMetadata.
        return found if whole else {**found, "apiVersion": kind.api_version, "kind": kind.name}

    def allows(self, access: Access) -> bool:
        """See `Kube.allows`."""
        kind = access.kind
        group = kind.api_version.rpartition("/")[0]
        asked = {
            "verb": access.verb,
            "group": group,
            "resource": kind.plural,
            "subresource": access.subresource,
            **({"namespace": self._namespace} if kind.namespaced else {}),
        }
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": asked},
        }
        what = f"ask whether it is allowed to {self._what(access.verb, kind)}"
        found = self._json("POST", _REVIEWS, what, {}, json.dumps(review).encode(), "application/json")
        return bool(found["status"]["allowed"])

    def get(self, kind: Kind, name: str, *, whole: bool = True) -> Object:
        """See `Kube.get`."""
        accept = _ANYTHING if whole else _METADATA_OF_ONE
        path, what = kind.path(self._namespace, name), self._what("read", kind, name)
        return self._json("GET", path, what, accept=accept)

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
        """See `Kube.list`."""
        what = f"list {kind.plural} in all namespaces" if everywhere else self._what("list", kind)
        path = kind.path("" if everywhere else self._namespace)
        asked = {"labelSelector": selector, "fieldSelector": fields, "limit": _text(page or "")}
        query = {key: text for key, text in asked.items() if text}
        accept = _ANYTHING if whole else _METADATA
        items: list[Object] = []
        while True:
            found = self._json("GET", path, what, query, accept=accept)
            items += found.get("items") or []  # None at all may be null.
            query["continue"] = (found.get("metadata") or {}).get("continue") or ""
            if not query["continue"]:
                break
        # Items come without what the list says for all of them.
        for item in items:
            item.update(apiVersion=kind.api_version, kind=kind.name)
        return items

    def delete(
        self,
        kind: Kind,
        name: str,
        *,
        uid: str | None = None,
        version: str | None = None,
        force: bool = False,
    ) -> None:
        """See `Kube.delete`."""
        options: dict[str, Any] = {"propagationPolicy": "Background"}
        if conditions := {key: text for key, text in (("uid", uid), ("resourceVersion", version)) if text}:
            options["preconditions"] = conditions
        if force:
            options["gracePeriodSeconds"] = 0
        what = self._what("delete", kind, name)
        body = json.dumps(options).encode()
        self._json("DELETE", kind.path(self._namespace, name), what, {}, body, "application/json")

    def log(self, pod: str, request: LogRequest) -> Iterator[str]:
        """See `Kube.log`."""
        asked = {
            "previous": request.previous,
            "tailLines": request.tail,
            "sinceTime": request.since,
            "follow": request.follow,
            "timestamps": request.timestamps,
        }
        query = {key: _text(value) for key, value in asked.items() if value not in (None, False)}
        what = self._what("read the log of", POD, pod)
        path = f"{POD.path(self._namespace, pod)}/log"
        response = self._send(
            "GET", path, what, query, read_seconds=None if request.follow else _READ_SECONDS
        )
        return _lines(response.response, what)

    def _what(self, verb: str, kind: Kind, name: str = "") -> str:
        target = f"{kind.singular}/{name}" if name else kind.plural
        return f"{verb} {target}" + (f" in namespace {self._namespace}" if kind.namespaced else "")

    def _json(self, method: str, path: str, what: str, *rest: Any, **more: Any) -> Object:
        response = self._send(method, path, what, *rest, **more)
        try:
            found: Object = decoded(response.read())
        except (ValueError, HTTPError) as error:
            raise UnreachableError(what, f"no whole answer came: {error}") from error
        if not isinstance(found, dict):
            raise self._is_no_api(what)
        return found

    def _is_no_api(self, what: str) -> UnreachableError:
        return UnreachableError(
            what, f"{self._cluster.server} does not answer as a Kubernetes API server does"
        )

    def _send(
        self,
        method: str,
        path: str,
        what: str,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
        content_type: str = "",
        *,
        accept: str = _ANYTHING,
        read_seconds: float | None = _READ_SECONDS,
    ) -> RESTResponse:
        """One request; the body of the answer is still to be read.

        Raises:
            KubeError: It failed.
        """
        client = self._cluster.client
        headers = {"Accept": accept} | ({"Content-Type": content_type} if body else {})
        try:
            _, url, ready, _, _ = client.param_serialize(
                method, path, query_params=list((query or {}).items()), header_params=headers,
                auth_settings=["BearerToken"],
            )  # fmt: skip
            response = client.rest_client.pool_manager.request(
                method, url, body=body, headers=HTTPHeaderDict([*ready.items(), *self._cluster.headers]),
                timeout=Timeout(connect=_CONNECT_SECONDS, read=read_seconds), preload_content=False,
            )  # fmt: skip
        except (HTTPError, ApiException, OSError) as error:
            raise UnreachableError(
                what, f"{self._cluster.server} does not answer: {_cause(error)}"
            ) from error
        self._warn(response)
        if not 200 <= response.status < 300:
            raise self._refusal(response, what)
        return RESTResponse(response)

    def _refusal(self, response: HTTPResponse, what: str) -> KubeError:
        try:
            data = response.data
        except HTTPError:
            data = b""
        return translate(what, self._cluster.server, response.status, data)

    def _warn(self, response: HTTPResponse) -> None:
        for header in response.headers.getlist("Warning"):
            # 299 - "text", by RFC 9110.
            text = header.partition('"')[2].rpartition('"')[0].replace('\\"', '"')
            if text and text not in self._warned:
                self._warned.add(text)
                self._on_warning(text)


def _cause(error: Exception) -> str:
    """What went wrong at the bottom of what urllib3 says of it: `[Errno 111] Connection refused`."""
    innermost = getattr(error, "reason", None) or error
    return str(innermost).rpartition("): ")[2]


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _lines(response: HTTPResponse, what: str) -> Iterator[str]:
    rest = b""
    try:
        while data := response.read1(1 << 16):
            *whole, rest = (rest + data).split(b"\n")
            yield from (line.decode(errors="replace") for line in whole)
    except (HTTPError, OSError) as error:
        raise UnreachableError(what, f"the stream broke off: {error}") from error
    finally:
        response.close()
    if rest:
        yield rest.decode(errors="replace")
