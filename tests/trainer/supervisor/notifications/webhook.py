"""A webhook on this machine: a real HTTP server that answers as it is told, and keeps what it was sent."""

import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SECRET = "T0-secret-B0"
"""Part of each address; it must never be seen anywhere else."""


class Webhook:
    """Answers the first requests with `answers`, in their order, and all others with 200.

    Args:
        answers: Statuses; with a text, `Retry-After`. None never answers, until the webhook is closed.
        held: Whether no request is answered before `release`.

    Attributes:
        bodies: What was sent, as JSON data, in the order of its arrival.
        headers: The same requests' headers.
    """

    def __init__(self, *answers: int | tuple[int, str] | None, held: bool = False) -> None:
        self._answers = list(answers)
        self._released = threading.Event()
        if not held:
            self._released.set()
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self._changed = threading.Condition()
        self._closed = threading.Event()
        webhook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                data = self.rfile.read(int(self.headers["Content-Length"]))
                answer = webhook._take(json.loads(data), dict(self.headers))
                webhook._released.wait()
                if answer is None:
                    webhook._closed.wait()
                    return
                status, retry_after = answer if isinstance(answer, tuple) else (answer, "")
                self.send_response(status)
                if retry_after:
                    self.send_header("Retry-After", retry_after)
                self.send_header("Location", "http://127.0.0.1:9/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/services/{SECRET}"

    def __enter__(self) -> "Webhook":
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        self._released.set()
        self._server.shutdown()
        self._server.server_close()

    def release(self) -> None:
        """Answers what is held, and all that comes, at once."""
        self._released.set()

    @property
    def occasions(self) -> list[str]:
        return [body["occasion"] for body in self.bodies]

    def wait_for(self, condition: Callable[[], bool], seconds: float = 30.0) -> None:
        """Waits for what is sent; fails with all of it where it does not come."""
        with self._changed:
            met = self._changed.wait_for(condition, seconds)
        assert met, f"after {seconds} s it was sent {self.bodies}"

    def _take(self, body: dict[str, Any], headers: dict[str, str]) -> int | tuple[int, str] | None:
        with self._changed:
            self.bodies.append(body)
            self.headers.append(headers)
            self._changed.notify_all()
            return self._answers.pop(0) if self._answers else 200


def wait_until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    """Waits for what another thread does."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s"
        time.sleep(0.005)
