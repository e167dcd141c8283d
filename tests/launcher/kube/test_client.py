import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher.kube import (
    CONFIG_MAP,
    JOB,
    NODE,
    POD,
    SECRET,
    Access,
    ConflictError,
    ForbiddenError,
    InvalidError,
    KubeError,
    LogRequest,
    NoClusterError,
    NotFoundError,
    TooOldError,
    UnauthorizedError,
    UnreachableError,
)
from launcher.kube.client import KubeClient, connect
from launcher.manifests import KubeVersion
from launcher.manifests.text import to_bytes
from tests.launcher.kube.api_server import Answer, ApiServer, Request, refusal
from trainer.contract.exit_codes import ExitCode

MANIFEST = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "mine"}, "data": {"a": "1e3\n2"}}


NO_RIGHT = (
    "cannot apply configmap/mine in namespace team: eve may not list jobs in namespace team\n"
    "Ask an administrator for a Role in namespace team that is bound to eve, with the rule "
    '{apiGroups: ["batch"], resources: [jobs], verbs: [list]}; k8s/base/rbac.yaml has all'
)


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with ApiServer().running() as running:
        yield running


@pytest.fixture
def kube(server: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> KubeClient:
    monkeypatch.setenv("KUBECONFIG", str(server.kubeconfig(tmp_path / "config")))
    return connect()


def test_apply_sends_what_render_prints_and_as_whom(server: ApiServer, kube: KubeClient) -> None:
    server.answer = lambda _: Answer(body={"metadata": {"uid": "u1"}})
    assert kube.apply(MANIFEST, "perdure")["metadata"]["uid"] == "u1"
    (request,) = server.requests
    assert request.method == "PATCH"
    assert request.path == "/api/v1/namespaces/team/configmaps/mine"
    assert request.query == {"fieldManager": "perdure", "force": "false", "fieldValidation": "Strict"}
    assert request.body == to_bytes(MANIFEST)
    assert request.headers["content-type"] == ["application/apply-patch+yaml"]
    assert request.headers["authorization"] == ["Bearer secret"]


def test_a_dry_run_says_so(server: ApiServer, kube: KubeClient) -> None:
    kube.apply(MANIFEST, "perdure", dry_run=True, force=True)
    assert server.requests[0].query["dryRun"] == "All"
    assert server.requests[0].query["force"] == "true"


def test_what_was_applied_is_returned_as_metadata_alone_where_no_more_is_wanted(
    server: ApiServer, kube: KubeClient
) -> None:
    server.answer = lambda _: Answer(body={"kind": "PartialObjectMetadata", "metadata": {"uid": "u1"}})
    found = kube.apply(MANIFEST, "perdure", whole=False)
    assert found == {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"uid": "u1"}}
    assert server.requests[0].headers["accept"] == [
        "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
    ]


def test_list_names_the_kind_of_its_items(server: ApiServer, kube: KubeClient) -> None:
    server.answer = lambda _: Answer(body={"items": [{"metadata": {"name": "a"}, "new": {"field": 1}}]})
    (item,) = kube.list(JOB, "perdure.dev/run=mine")
    assert item == {
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "a"}, "new": {"field": 1},
    }  # fmt: skip
    assert server.requests[0].path == "/apis/batch/v1/namespaces/team/jobs"
    assert server.requests[0].query == {"labelSelector": "perdure.dev/run=mine"}


def test_a_list_may_ask_for_metadata_alone_and_an_empty_one_may_be_null(
    server: ApiServer, kube: KubeClient
) -> None:
    server.answer = lambda _: Answer(body={"kind": "PartialObjectMetadataList", "items": None})
    assert kube.list(CONFIG_MAP, "a=b", whole=False) == []
    (accept,) = server.requests[0].headers["accept"]
    assert "as=PartialObjectMetadataList" in accept


def test_of_a_secret_only_the_metadata_is_asked_for(server: ApiServer, kube: KubeClient) -> None:
    kube.get(SECRET, "keys", whole=False)
    (request,) = server.requests
    assert request.path == "/api/v1/namespaces/team/secrets/keys"
    assert request.headers["accept"] == ["application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"]


@pytest.mark.parametrize("allowed", [True, False])
def test_the_server_is_asked_what_is_allowed(server: ApiServer, kube: KubeClient, allowed: bool) -> None:
    server.answer = lambda _: Answer(201, {"status": {"allowed": allowed}})
    assert kube.allows(Access("get", POD, "log")) is allowed
    assert kube.allows(Access("list", NODE)) is allowed
    of_pods, of_nodes = (json.loads(request.body)["spec"] for request in server.requests)
    assert server.requests[0].method == "POST"
    assert server.requests[0].path == "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    assert of_pods["resourceAttributes"] == {
        "verb": "get", "group": "", "resource": "pods", "subresource": "log", "namespace": "team",
    }  # fmt: skip
    assert "namespace" not in of_nodes["resourceAttributes"]


def test_a_node_lives_in_no_namespace(server: ApiServer, kube: KubeClient) -> None:
    kube.get(NODE, "n1")
    assert server.requests[0].path == "/api/v1/nodes/n1"


def test_delete_takes_what_is_owned_too_and_only_that_uid(server: ApiServer, kube: KubeClient) -> None:
    kube.delete(JOB, "mine-worker-0", uid="u7", force=True)
    assert json.loads(server.requests[0].body) == {
        "propagationPolicy": "Background", "preconditions": {"uid": "u7"}, "gracePeriodSeconds": 0,
    }  # fmt: skip


def test_delete_takes_only_what_has_not_changed_meanwhile(server: ApiServer, kube: KubeClient) -> None:
    kube.delete(JOB, "mine-worker-0", uid="u7", version="811")
    assert json.loads(server.requests[0].body) == {
        "propagationPolicy": "Background", "preconditions": {"uid": "u7", "resourceVersion": "811"},
    }  # fmt: skip


def test_a_log_comes_in_whole_lines_however_it_is_cut(server: ApiServer, kube: KubeClient) -> None:
    text = "first\nsécond\n\nlast without end".encode()
    server.answer = lambda _: Answer(pieces=(text[:3], text[3:8], text[8:]))
    lines = kube.log("pod", LogRequest(previous=True, tail=7, since="2026-01-01T00:00:00Z", timestamps=True))
    assert list(lines) == ["first", "sécond", "", "last without end"]
    assert server.requests[0].query == {
        "previous": "true", "tailLines": "7", "sinceTime": "2026-01-01T00:00:00Z", "timestamps": "true",
    }  # fmt: skip


def test_the_version_is_read_and_an_old_one_refused(server: ApiServer, kube: KubeClient) -> None:
    server.answer = lambda _: Answer(body={"gitVersion": "v1.36.2-eks-12345"})
    assert kube.version() == KubeVersion(1, 36)
    server.answer = lambda _: Answer(body={"gitVersion": "v1.33.9"})
    with pytest.raises(TooOldError, match=r"1\.33, and runs need 1\.34"):
        kube.version()


def test_warnings_are_told_once(server: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(server.kubeconfig(tmp_path / "config")))
    told: list[str] = []
    kube = connect(on_warning=told.append)
    header = ("Warning", '299 - "would violate \\"restricted\\""')
    server.answer = lambda _: Answer(headers=(header,))
    kube.get(CONFIG_MAP, "a")
    kube.get(CONFIG_MAP, "a")
    assert told == ['would violate "restricted"']


@pytest.mark.parametrize(
    ("answer", "error", "code", "told"),
    [
        (
            refusal(404, "NotFound", 'configmaps "mine" not found', name="mine", kind="configmaps"),
            NotFoundError,
            ExitCode.USAGE,
            'cannot apply configmap/mine in namespace team: configmaps "mine" not found',
        ),
        (
            refusal(404, "NotFound", 'namespaces "team" not found', name="team", kind="namespaces"),
            NotFoundError,
            ExitCode.USAGE,
            "kubectl create namespace team",
        ),
        (
            refusal(403, "Forbidden", 'User "eve" cannot patch resource "configmaps"'),
            ForbiddenError,
            ExitCode.NO_PERMISSION,
            "k8s/base/rbac.yaml",
        ),
        (
            refusal(
                403, "Forbidden",
                'jobs.batch is forbidden: User "eve" cannot list resource "jobs" in API group "batch" in the '
                'namespace "team"',
            ),
            ForbiddenError,
            ExitCode.NO_PERMISSION,
            NO_RIGHT,
        ),
        (
            refusal(
                403, "Forbidden",
                'User "eve" cannot get resource "nodes" in API group "" at the cluster scope',
            ),
            ForbiddenError,
            ExitCode.NO_PERMISSION,
            "eve may not get nodes in the whole cluster\nAsk an administrator for a ClusterRole",
        ),
        (
            refusal(403, "Forbidden", 'jobs "j" is forbidden: exceeded quota: small'),
            ForbiddenError,
            ExitCode.NO_PERMISSION,
            "quota is spent",
        ),
        (refusal(401, "Unauthorized", "Unauthorized"), UnauthorizedError, ExitCode.NO_PERMISSION, "Sign in"),
        (
            refusal(
                409, "Conflict", "conflict",
                causes=[{"reason": "FieldManagerConflict", "field": ".data.a", "message": 'with "kubectl"'}],
            ),
            ConflictError,
            ExitCode.CONFIG,
            "field data.a belongs to kubectl\nSomeone has changed the object",
        ),
        (
            refusal(
                422, "Invalid", "long and unreadable",
                causes=[{"field": "spec.a", "message": "Required"}, {"field": "spec.b", "message": "Bad"}],
            ),
            InvalidError,
            ExitCode.USAGE,
            "2 things are wrong\n  spec.a: Required\n  spec.b: Bad",
        ),
        (
            refusal(500, "", "failed to create typed patch object: .data.x: field not declared in schema"),
            InvalidError,
            ExitCode.USAGE,
            ".data.x: field not declared in schema",
        ),
        (Answer(502, b"<html>bad</html>"), UnreachableError, ExitCode.UNAVAILABLE, "answered 502 <html>"),
        (Answer(418, b"tea"), KubeError, ExitCode.CRASH, "answered 418 tea"),
        (Answer(200, b"not json"), UnreachableError, ExitCode.UNAVAILABLE, "no whole answer"),
        (Answer(200, []), UnreachableError, ExitCode.UNAVAILABLE, "not answer as a Kubernetes API server"),
        (refusal(422, "Invalid", "x" * 5000), InvalidError, ExitCode.USAGE, "x" * 1200 + " …"),
    ],
)  # fmt: skip
def test_refusals_say_what_why_and_what_to_do(
    server: ApiServer, kube: KubeClient, answer: Answer, error: type[KubeError], code: int, told: str
) -> None:
    server.answer = lambda _: answer
    with pytest.raises(KubeError) as raised:
        kube.apply(MANIFEST, "perdure")
    assert type(raised.value) is error
    assert raised.value.exit_code == code
    assert told in str(raised.value)


@pytest.mark.parametrize("body", [{}, {"gitVersion": None}, {"gitVersion": "main"}])
def test_whatever_else_is_at_the_address_has_no_version(
    server: ApiServer, kube: KubeClient, body: dict[str, object]
) -> None:
    server.answer = lambda _: Answer(body=body)
    with pytest.raises(UnreachableError, match="does not answer as a Kubernetes API server does"):
        kube.version()


def test_an_overloaded_server_is_asked_again(server: ApiServer, kube: KubeClient) -> None:
    busy = Answer(429, b"slow down", headers=(("Retry-After", "0"),))
    server.answer = lambda _: busy if len(server.requests) < 3 else Answer(body={"metadata": {}})
    assert kube.apply(MANIFEST, "perdure") == {"metadata": {}}
    assert len(server.requests) == 3


def test_a_server_that_stays_overloaded_is_unreachable(server: ApiServer, kube: KubeClient) -> None:
    server.answer = lambda _: Answer(429, b"slow down", headers=(("Retry-After", "0"),))
    with pytest.raises(UnreachableError, match="slow down"):
        kube.apply(MANIFEST, "perdure")


def test_nobody_at_the_address_is_told_with_the_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        server = ApiServer()
        server.url = f"http://127.0.0.1:{held.getsockname()[1]}"
        monkeypatch.setenv("KUBECONFIG", str(server.kubeconfig(tmp_path / "config")))
        with pytest.raises(UnreachableError) as raised:
            connect().get(CONFIG_MAP, "a")
    assert f"{server.url} does not answer: Failed to establish a new connection: [Errno 111]" in str(
        raised.value
    )
    assert "Is the cluster up" in str(raised.value)


def test_a_stream_that_breaks_off_is_told(server: ApiServer, kube: KubeClient) -> None:
    server.answer = lambda _: Answer(headers=(("Content-Length", "100"),), pieces=(b"one\ntw",))
    with pytest.raises(UnreachableError, match="broke off"):
        list(kube.log("pod", LogRequest()))


def test_namespace_and_context_as_kubectl_takes_them(
    server: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(server.kubeconfig(tmp_path / "config")))
    assert connect().namespace == "team"
    assert connect(namespace="given").namespace == "given"
    assert connect(context="other").namespace == "default"


def test_whoever_the_kubeconfig_impersonates_is_sent(
    server: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = server.kubeconfig(tmp_path / "config", **{"as": "eve", "as-groups": ["a", "b"]})
    monkeypatch.setenv("KUBECONFIG", str(path))
    connect().get(CONFIG_MAP, "a")
    assert server.requests[0].headers["impersonate-user"] == ["eve"]
    assert server.requests[0].headers["impersonate-group"] == ["a", "b"]


@pytest.mark.parametrize(
    ("content", "context", "told"),
    [
        (None, None, "there is no kubeconfig at"),
        ("", None, "empty"),
        ("{", None, "config"),
        ("clusters: []\nusers: []\ncontexts: []\n", None, "current-context"),
        (None, "nowhere", "there is no kubeconfig at"),
    ],
)
def test_a_kubeconfig_that_cannot_be_used_is_told(
    content: str | None, context: str | None, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "config"
    if content is not None:
        path.write_text(content)
    monkeypatch.setenv("KUBECONFIG", str(path))
    with pytest.raises(NoClusterError) as raised:
        connect(context=context)
    assert told in str(raised.value)
    assert str(path) in str(raised.value)


def test_an_unknown_context_is_told(
    server: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(server.kubeconfig(tmp_path / "config")))
    with pytest.raises(NoClusterError, match="nowhere"):
        connect(context="nowhere")


def test_a_long_list_comes_in_pages(server: ApiServer, kube: KubeClient) -> None:
    def answer(request: Request) -> Answer:
        later = "continue" in request.query
        more = {} if later else {"continue": "token"}
        return Answer(body={"metadata": more, "items": [{"metadata": {"name": "b" if later else "a"}}]})

    server.answer = answer
    found = kube.list(JOB, "a=b", fields="type=Warning", page=500, everywhere=True)
    assert [each["metadata"]["name"] for each in found] == ["a", "b"]
    asked = {"labelSelector": "a=b", "fieldSelector": "type=Warning", "limit": "500"}
    assert [request.query for request in server.requests] == [asked, {**asked, "continue": "token"}]
    assert {request.path for request in server.requests} == {"/apis/batch/v1/jobs"}
