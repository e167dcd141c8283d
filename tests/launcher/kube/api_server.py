"""A real HTTP server that answers as a test tells it, for the edge of `launcher.kube`."""

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit


@dataclass
class Request:
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, list[str]]
    body: bytes


@dataclass
class Answer:
    status: int = 200
    body: Any = field(default_factory=dict)
    headers: tuple[tuple[str, str], ...] = ()
    pieces: tuple[bytes, ...] = ()
    """Sent as they are, the connection then cut, instead of the body."""


class ApiServer:
    """Answers with what `answer` returns, and keeps what was asked."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.answer: Callable[[Request], Answer] = lambda _: Answer()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    def kubeconfig(self, path: Path, namespace: str = "team", **user: Any) -> Path:
        cluster, context = {"server": self.url}, {"cluster": "c", "user": "u", "namespace": namespace}
        other = {"cluster": "c", "user": "u"}
        path.write_text(
            json.dumps(
                {
                    "current-context": "here",
                    "clusters": [{"name": "c", "cluster": cluster}],
                    "users": [{"name": "u", "user": {"token": "secret", **user}}],
                    "contexts": [
                        {"name": "here", "context": context},
                        {"name": "other", "context": other},
                    ],
                }
            )
        )
        return path

    def close(self) -> None:
        """Without ever having run: nobody is at its address then."""
        self._server.server_close()

    @contextlib.contextmanager
    def running(self) -> Iterator["ApiServer"]:
        self._thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()

    def _handler(server) -> type[BaseHTTPRequestHandler]:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _serve(self) -> None:
                url = urlsplit(self.path)
                length = int(self.headers.get("Content-Length") or 0)
                headers: dict[str, list[str]] = {}
                for name, value in self.headers.items():
                    headers.setdefault(name.lower(), []).append(value)
                request = Request(
                    self.command, url.path, dict(parse_qsl(url.query)), headers, self.rfile.read(length)
                )
                server.requests.append(request)
                answer = server.answer(request)
                body = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
                self.send_response(answer.status)
                for name, value in answer.headers:
                    self.send_header(name, value)
                if answer.pieces:
                    self.send_header("Connection", "close")
                    self.end_headers()
                    for piece in answer.pieces:
                        self.wfile.write(piece)
                        self.wfile.flush()
                    self.close_connection = True
                    return
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_PATCH = do_POST = do_DELETE = _serve

            def log_message(self, *arguments: Any) -> None:
                pass

        return Handler


def refusal(status: int, reason: str, message: str, **details: Any) -> Answer:
    body = {"kind": "Status", "status": "Failure", "reason": reason, "message": message, "code": status}
    return Answer(status, {**body, "details": details} if details else body)
