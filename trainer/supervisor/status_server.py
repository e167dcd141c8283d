"""A small HTTP server for probes and people: GET of a few fixed paths, one request a connection."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from types import TracebackType
from typing import Self

REQUEST_SECONDS = 5.0
"""How long a client may take to say what it wants, and to hear the answer."""

_LONGEST_HEAD = 8192

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Answer:
    """What is said to a request.

    Attributes:
        body: The content.
        status: How it went.
        content_type: What `body` is.
        sent: Called once the client has been given all of it.
    """

    body: str
    status: HTTPStatus = HTTPStatus.OK
    content_type: str = "text/plain; charset=utf-8"
    sent: Callable[[], None] = lambda: None


class StatusServer:
    """Serves while its context is entered.

    Args:
        hosts: Addresses to listen at.
        port: Where.
        routes: What answers each path; called in the event loop.
        patience: Seconds that a client may take.
    """

    def __init__(
        self,
        hosts: tuple[str, ...],
        port: int,
        routes: Mapping[str, Callable[[], Answer]],
        patience: float = REQUEST_SECONDS,
    ) -> None:
        self._hosts = hosts
        self._port = port
        self._routes = routes
        self._patience = patience
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        """Listens.

        Raises:
            OSError: An address cannot be bound.
        """
        self._server = await asyncio.start_server(
            self._serve, self._hosts, self._port, limit=_LONGEST_HEAD, reuse_address=True
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Listens no more."""
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A client that goes away, or says nothing, is its own affair.
        with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
            async with asyncio.timeout(self._patience):
                answer, has_body = await self._answer_to(reader)
                writer.write(_encode(answer, has_body=has_body))
                # It may still lie here when all is written: only a closed connection has taken it.
                writer.close()
                await writer.wait_closed()
                if has_body:
                    answer.sent()
        writer.close()

    async def _answer_to(self, reader: asyncio.StreamReader) -> tuple[Answer, bool]:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError:
            return Answer("too long\n", HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE), True
        method, _, rest = head.split(b"\r\n", 1)[0].decode("latin-1").partition(" ")
        path = rest.partition(" ")[0].partition("?")[0]
        if method not in ("GET", "HEAD"):
            return Answer("only GET and HEAD\n", HTTPStatus.METHOD_NOT_ALLOWED), True
        route = self._routes.get(path)
        if route is None:
            known = " ".join(self._routes)
            return Answer(f"not here; there are {known}\n", HTTPStatus.NOT_FOUND), method == "GET"
        try:
            return route(), method == "GET"
        except Exception:  # noqa: BLE001 - nothing is hidden: it is logged, and whoever asked is told
            # Whoever only looks shall not end a run.
            _log.exception("no answer can be given at %s", path)
            return Answer("this supervisor cannot tell\n", HTTPStatus.INTERNAL_SERVER_ERROR), True


def _encode(answer: Answer, *, has_body: bool) -> bytes:
    body = answer.body.encode(errors="backslashreplace")
    head = (
        f"HTTP/1.1 {answer.status.value} {answer.status.phrase}\r\n"
        f"Content-Type: {answer.content_type}\r\n"
        f"Content-Length: {len(body)}\r\n"
        "Cache-Control: no-store\r\n"
        "Connection: close\r\n\r\n"
    )
    return head.encode("latin-1") + (body if has_body else b"")
