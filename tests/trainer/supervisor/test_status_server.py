"""The status server, over real sockets, with clients of all manners."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from http import HTTPStatus

import pytest

from trainer.supervisor.status_server import Answer, StatusServer

Client = Callable[[int], Awaitable[None]]


def serve(client: Client, patience: float = 5.0) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    routes = {
        "/healthz": lambda: Answer("ok\n"),
        "/busy": lambda: Answer("später\n", HTTPStatus.SERVICE_UNAVAILABLE),
        "/json": lambda: Answer("{}", content_type="application/json"),
    }

    async def run() -> None:
        async with StatusServer(("127.0.0.1",), port, routes, patience):
            await client(port)

    asyncio.run(run())


async def ask(port: int, request: bytes) -> tuple[str, dict[str, str], bytes]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    answer = await reader.read()
    writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *rest = head.decode().split("\r\n")
    return first, dict(line.split(": ", 1) for line in rest), body


@pytest.mark.parametrize(
    ("request_line", "status", "body"),
    [
        (b"GET /healthz HTTP/1.1", "200 OK", b"ok\n"),
        (b"GET /healthz?verbose=1 HTTP/1.1", "200 OK", b"ok\n"),
        (b"HEAD /healthz HTTP/1.1", "200 OK", b""),
        (b"GET /busy HTTP/1.0", "503 Service Unavailable", "später\n".encode()),
        (b"POST /healthz HTTP/1.1", "405 Method Not Allowed", b"only GET and HEAD\n"),
        (b"GET / HTTP/1.1", "404 Not Found", b"not here; there are /healthz /busy /json\n"),
        (b"nonsense", "405 Method Not Allowed", b"only GET and HEAD\n"),
        (b"\xff\x00", "405 Method Not Allowed", b"only GET and HEAD\n"),
    ],
)
def test_answers(request_line: bytes, status: str, body: bytes) -> None:
    async def client(port: int) -> None:
        first, headers, received = await ask(port, request_line + b"\r\nHost: x\r\n\r\n")
        assert first == f"HTTP/1.1 {status}"
        assert received == body
        assert int(headers["Content-Length"]) >= len(body)
        assert headers["Connection"] == "close"

    serve(client)


def test_a_head_that_is_too_long_is_refused() -> None:
    async def client(port: int) -> None:
        first, _, _ = await ask(port, b"GET /healthz HTTP/1.1\r\nX: " + b"x" * 20000 + b"\r\n\r\n")
        assert first.startswith("HTTP/1.1 431 ")

    serve(client)


def test_a_client_that_says_nothing_keeps_nobody_else_waiting_and_is_hung_up_on() -> None:
    async def client(port: int) -> None:
        silent = await asyncio.open_connection("127.0.0.1", port)
        gone = await asyncio.open_connection("127.0.0.1", port)
        gone[1].close()
        assert (await ask(port, b"GET /json HTTP/1.1\r\n\r\n"))[2] == b"{}"
        async with asyncio.timeout(10):
            assert await silent[0].read() == b""
        silent[1].close()

    serve(client, patience=0.3)


def test_a_port_that_is_taken_is_an_error() -> None:
    async def run(port: int) -> None:
        async with StatusServer(("127.0.0.1",), port, {}):
            raise AssertionError("both listen")

    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="in use"):
        asyncio.run(run(taken.getsockname()[1]))


def test_an_answer_was_sent_once_the_client_has_all_of_it() -> None:
    """A client that takes its time, of more than the buffers between the two hold."""
    body, sent = "x" * 4_000_000, []

    async def scene() -> None:
        routes = {"/": lambda: Answer(body, sent=lambda: sent.append(True))}
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        async with StatusServer(("127.0.0.1",), port, routes, patience=30.0):
            reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=4096)
            writer.write(b"GET / HTTP/1.1\r\n\r\n")
            await reader.readuntil(b"\r\n\r\n")
            await asyncio.sleep(0.2)
            assert not sent
            assert len(await reader.read()) == len(body)
            async with asyncio.timeout(20):
                while not sent:
                    await asyncio.sleep(0.01)
            writer.close()

    asyncio.run(scene())


def test_a_route_that_fails_is_answered_too() -> None:
    def broken() -> Answer:
        raise RuntimeError("a bug")

    async def scene() -> bytes:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        async with StatusServer(("127.0.0.1",), port, {"/": broken}):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET / HTTP/1.1\r\n\r\n")
            answer = await reader.read()
            writer.close()
            return answer

    assert asyncio.run(scene()).startswith(b"HTTP/1.1 500 ")
