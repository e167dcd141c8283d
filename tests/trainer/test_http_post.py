"""One POST against real servers: each way in which it can end, and that nothing tells the address."""

import socket
import threading
import time
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import pytest

from tests.trainer.supervisor.notifications.webhook import SECRET, Webhook
from trainer.http_post import Address, AddressError, Answer, post

NOW = 1795860517.0


def send(url: str, seconds: float = 10.0) -> Answer:
    return post(Address(url), b'{"text": "hello"}', {"Idempotency-Key": "run/key"}, NOW, seconds)


def test_what_is_taken_is_delivered() -> None:
    with Webhook() as webhook:
        assert send(webhook.url) == Answer(delivered=True)
        assert webhook.bodies == [{"text": "hello"}]
        assert webhook.headers[0]["Idempotency-Key"] == "run/key"


@pytest.mark.parametrize(
    ("answer", "again", "retry_after"),
    [
        (503, True, None),
        (408, True, None),
        (429, True, None),
        ((429, "7"), True, 7.0),
        ((503, format_datetime(datetime.fromtimestamp(NOW + 90, UTC), usegmt=True)), True, 90.0),
        ((503, format_datetime(datetime.fromtimestamp(NOW - 90, UTC), usegmt=True)), True, 0.0),
        ((429, "soon"), True, None),
        ((429, "-3"), True, None),
        (400, False, None),
        (404, False, None),
        ((410, "7"), False, None),
        (302, False, None),
        (307, False, None),
    ],
)
def test_an_answer_says_whether_and_when_to_try_again(
    answer: int | tuple[int, str], again: bool, retry_after: float | None
) -> None:
    with Webhook(answer) as webhook:
        status = answer if isinstance(answer, int) else answer[0]
        assert send(webhook.url) == Answer(again=again, retry_after=retry_after, why=f"HTTP {status}")
        assert len(webhook.bodies) == 1, "no redirection is followed"


@pytest.mark.parametrize("status", [500, 502, 504, 520])
def test_what_may_have_been_taken_is_uncertain_and_not_sent_again(status: int) -> None:
    with Webhook((status, "7")) as webhook:
        assert send(webhook.url) == Answer(certain=False, why=f"HTTP {status}")
        assert len(webhook.bodies) == 1


def test_a_dead_port_and_an_unknown_name_are_tried_again() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        dead = f"http://127.0.0.1:{probe.getsockname()[1]}/{SECRET}"
        assert send(dead) == Answer(again=True, why="connection refused")
    assert send(f"http://no-such-host.invalid/{SECRET}") == Answer(again=True, why="its name is not known")


def test_what_was_sent_and_not_answered_is_uncertain() -> None:
    with Webhook(None) as webhook:
        answer = send(webhook.url, seconds=2.0)
        webhook.wait_for(lambda: len(webhook.bodies) == 1)
    assert (answer.delivered, answer.again, answer.certain) == (False, False, False)
    assert answer.why == "no answer: timed out"


def test_a_server_that_answers_a_byte_at_a_time_is_left_after_the_whole_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        over = threading.Event()

        def drip() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                while not over.wait(0.05):
                    try:
                        connection.sendall(b"H")
                    except OSError:
                        return

        thread = threading.Thread(target=drip, daemon=True)
        thread.start()
        answer = send(f"http://127.0.0.1:{server.getsockname()[1]}/{SECRET}", seconds=0.5)
        over.set()
        thread.join(10)
    assert not answer.certain


def test_nothing_is_sent_once_the_look_up_has_taken_all_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    look_up = socket.getaddrinfo

    def slow(*arguments: Any, **more: Any) -> Any:
        time.sleep(0.2)
        return look_up(*arguments, **more)

    with Webhook() as webhook:
        monkeypatch.setattr(socket, "getaddrinfo", slow)
        assert send(webhook.url, seconds=0.1) == Answer(again=True, why="timed out")
        assert webhook.bodies == []


def test_what_speaks_no_tls_is_no_https() -> None:
    with Webhook() as webhook:
        answer = send(webhook.url.replace("http://", "https://"))
        assert answer.again
        assert SECRET not in answer.why
        assert webhook.bodies == []


def test_the_environments_proxy_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    with Webhook() as proxy:
        monkeypatch.setenv("http_proxy", proxy.url.replace("127.0.0.1", "user:pass@127.0.0.1"))
        monkeypatch.setenv("no_proxy", "")
        assert send(f"http://hooks.invalid/{SECRET}") == Answer(delivered=True)
        assert proxy.headers[0]["Host"] == "hooks.invalid"
        assert proxy.headers[0]["Proxy-Authorization"] == "Basic dXNlcjpwYXNz"


@pytest.mark.parametrize(
    "url",
    [
        "",
        f"ftp://host/{SECRET}",
        f"{SECRET}.example/hook",
        f"https:///{SECRET}",
        f"https://host:port/{SECRET}",
        f"https://host:99999/{SECRET}",
        f"https://[host/{SECRET}",
        f"https://host/{SECRET}\nX: y",
        f"https://user:{SECRET}@host/",
        f"https://host/ä{SECRET}",
        f"https://host/{SECRET}" + "x" * 8000,
    ],
)
def test_what_is_no_address_is_refused_without_being_told(url: str) -> None:
    with pytest.raises(AddressError) as error:
        Address(url)
    assert SECRET not in str(error.value)
    assert error.value.__cause__ is None
    assert error.value.__suppress_context__ or error.value.__context__ is None


def test_an_address_does_not_show_itself() -> None:
    assert SECRET not in repr(Address(f"https://host/{SECRET}"))
