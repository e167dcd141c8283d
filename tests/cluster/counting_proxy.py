"""Stands between a program and the API server, and lets something happen at one chosen call."""

import http.client
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.cluster.kubectl import Kubectl

_HOP_BY_HOP = {"connection", "transfer-encoding", "content-length", "keep-alive", "host"}


class CountingProxy:
    """Counts the calls that change something, and passes all calls on.

    Attributes:
        calls: Method and path of the changes so far, those of dry runs and of questions apart.
        at: Called with the number of a change, from 1, before it is passed on, and again with its negative
            once the server has answered, before the program hears of it. Where it raises `BrokenPipeError`,
            the connection ends there.
    """

    def __init__(self, upstream: tuple[str, int]) -> None:
        self.calls: list[str] = []
        self.at: Callable[[int], None] = lambda number: None
        self.upstream = upstream
        self.lock = threading.Lock()

    def passing(self, handler: BaseHTTPRequestHandler) -> None:
        """Serves one call."""
        number = self._count(handler)
        if number:
            self.at(number)
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        kept = {name: value for name, value in handler.headers.items() if name.lower() not in _HOP_BY_HOP}
        connection = http.client.HTTPConnection(*self.upstream, timeout=60)
        connection.request(handler.command, handler.path, body, kept)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        if number:
            self.at(-number)
        handler.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in _HOP_BY_HOP:
                handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)

    def _count(self, handler: BaseHTTPRequestHandler) -> int:
        asks = handler.path.endswith("/selfsubjectaccessreviews")
        if handler.command == "GET" or asks or "dryRun" in handler.path:
            return 0
        with self.lock:
            self.calls.append(f"{handler.command} {handler.path.partition('?')[0]}")
            return len(self.calls)


@contextmanager
def counting_proxy(kubectl: Kubectl, folder: Path) -> Iterator[tuple[CountingProxy, str]]:
    """A proxy that acts as `kubectl` does, and a kubeconfig that leads to it.

    Args:
        kubectl: With whose credentials the API server is asked.
        folder: Where the kubeconfig is written.
    """
    command = kubectl.command("proxy", "--port=0")
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=kubectl.environment()
    ) as kubectl_proxy:
        try:
            port = int(kubectl_proxy.stdout.readline().rpartition(":")[2])
            proxy = CountingProxy(("127.0.0.1", port))
            server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(proxy))
            threading.Thread(target=server.serve_forever, daemon=True).start()
            try:
                path = folder / "kubeconfig"
                path.write_text(_KUBECONFIG.format(port=server.server_port))
                yield proxy, str(path)
            finally:
                server.shutdown()
                server.server_close()
        finally:
            kubectl_proxy.terminate()


def _handler(proxy: CountingProxy) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            try:
                proxy.passing(self)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True

        do_POST = do_PATCH = do_PUT = do_DELETE = do_GET

        def log_message(self, *_: object) -> None:
            pass

    return Handler


_KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: proxy
contexts: [{{name: proxy, context: {{cluster: proxy, user: proxy}}}}]
clusters: [{{name: proxy, cluster: {{server: "http://127.0.0.1:{port}"}}}}]
users: [{{name: proxy, user: {{}}}}]
"""
