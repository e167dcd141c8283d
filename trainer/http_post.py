"""One POST to an address that nobody may see: what is told of it never holds the address.

Exceptions of the standard library name hosts, paths and whole URLs in their messages, so none of them is
passed on or logged: each becomes one of the words below.
"""

import http.client
import os
import re
import socket
import ssl
import threading
import time
import urllib.request
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from urllib.parse import SplitResult, unquote, urlsplit

TIMEOUT_SECONDS = 10.0
"""For a whole try, up to the answer's first lines. The look-up of the name ends when the system's resolver
gives up, and connecting may take so long for each address of the name; past the limit nothing is sent."""

_NOT_TAKEN = frozenset({408, 425, 429, 503})
"""Statuses with which a server says that it has not handled the request (RFC 9110, RFC 8470, RFC 6585)."""
_LONGEST_ADDRESS = 8000


class AddressError(ValueError):
    """What should be an address is none; the message does not hold it."""


class Address:
    """The URL of a webhook, which is a secret: whoever has it can send.

    Raises:
        AddressError: The text is no such URL.
    """

    def __init__(self, url: str) -> None:
        parts = _parts(url.strip())
        self.parts = parts

    def __repr__(self) -> str:
        return "Address(hidden)"


@dataclass(frozen=True)
class Answer:
    """What came of one try.

    Attributes:
        delivered: The other side has taken it.
        again: It has certainly not been taken, and another try may be worth while.
        retry_after: Seconds that the other side has asked to wait.
        why: A few words; empty where it was delivered.
        certain: Whether it is known if it was taken; if not, it may have arrived.
    """

    delivered: bool = False
    again: bool = False
    retry_after: float | None = None
    why: str = ""
    certain: bool = True


def post(
    address: Address,
    body: bytes,
    headers: Mapping[str, str],
    now: float,
    seconds: float = TIMEOUT_SECONDS,
) -> Answer:
    """Sends a body once; follows no redirection, which could lead it anywhere. Never raises.

    Args:
        address: Where to; the proxies of the environment are used, as by everything of Python.
        body: What to send.
        headers: Beside those of HTTP.
        now: Seconds since 1970, for an answer that names a date.
        seconds: How long it may take; see `TIMEOUT_SECONDS` for what cannot be cut short.
    """
    sent, began = False, time.monotonic()
    try:
        connection, target, more = _connection(address.parts, seconds)
        with _limited(connection, seconds):
            connection.connect()
            if time.monotonic() - began >= seconds:
                # There was nothing to cut off when the time was over.
                raise TimeoutError
            connection.request("POST", target, body, {**headers, **more})
            sent = True
            response = connection.getresponse()
            return _read(response.status, response.getheader("Retry-After"), now)
    except Exception as error:  # noqa: BLE001 - nothing is hidden but the address: see `_words`
        # What this has cut off itself was too slow, whatever it is called then.
        late = time.monotonic() - began >= seconds
        why = _words(TimeoutError() if late else error)
        if sent:
            # The other side has the whole of it; whether it has done with it what it should, nobody knows.
            return Answer(certain=False, why=f"no answer: {why}")
        return Answer(again=True, why=why)


def _parts(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise AddressError("not a URL") from None
    if parts.scheme not in ("http", "https") or not host:
        raise AddressError("not a URL that begins with https:// or http://")
    if len(url) > _LONGEST_ADDRESS or re.search(r"[^\x21-\x7e]", url):
        raise AddressError("a URL with characters that no URL has")
    if parts.username is not None:
        raise AddressError("a URL with a user's name in it, which this does not send")
    return parts


def _read(status: int, retry_after: str | None, now: float) -> Answer:
    if 200 <= status < 300:
        return Answer(delivered=True)
    again = status in _NOT_TAKEN
    return Answer(
        again=again,
        retry_after=_seconds(retry_after, now) if again else None,
        why=f"HTTP {status}",
        # 500: it may have failed behind what was asked for; 502, 504: a proxy tells only of its own side.
        certain=again or status < 500,
    )


def _seconds(text: str | None, now: float) -> float | None:
    """Seconds or a date, as RFC 9110 has it in section 10.2.3; what is neither is left out."""
    if text is None:
        return None
    if re.fullmatch(r"\d{1,9}", text.strip(), re.ASCII):
        return float(text)
    with suppress(ValueError, TypeError, OverflowError):
        return max(0.0, parsedate_to_datetime(text).timestamp() - now)
    return None


def _connection(parts: SplitResult, seconds: float) -> tuple[http.client.HTTPConnection, str, dict[str, str]]:
    """A connection that is not yet made, what to ask it for, and headers for a proxy."""
    host = parts.hostname or ""
    target = parts._replace(scheme="", netloc="", fragment="").geturl() or "/"
    proxy = urllib.request.getproxies().get(parts.scheme)
    if proxy and urllib.request.proxy_bypass(host):
        proxy = None
    via = urlsplit(proxy if "//" in proxy else f"//{proxy}") if proxy else parts
    given = _proxy_headers(via) if proxy else {}
    if parts.scheme == "http":
        plain = http.client.HTTPConnection(via.hostname or "", via.port or 80, timeout=seconds)
        return plain, parts._replace(fragment="").geturl() if proxy else target, given
    port = (via.port or 80) if proxy else (parts.port or 443)
    secure = http.client.HTTPSConnection(
        via.hostname or "", port, timeout=seconds, context=ssl.create_default_context()
    )
    if proxy:
        secure.set_tunnel(host, parts.port or 443, headers=given)
    return secure, target, {}


def _proxy_headers(proxy: SplitResult) -> dict[str, str]:
    if proxy.username is None:
        return {}
    pair = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    return {"Proxy-Authorization": f"Basic {b64encode(pair.encode()).decode()}"}


@contextmanager
def _limited(connection: http.client.HTTPConnection, seconds: float) -> Iterator[None]:
    """Ends the connection after so many seconds, whatever it does: a socket's own limit is for each read."""

    def end() -> None:
        if (channel := connection.sock) is not None:
            with suppress(OSError):
                channel.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        connection.close()


_WORDS: dict[type[OSError], str] = {
    TimeoutError: "timed out",
    ConnectionRefusedError: "connection refused",
    ssl.SSLCertVerificationError: "its certificate is not trusted",
    ssl.SSLError: "it does not speak TLS as we do",
    socket.gaierror: "its name is not known",
    ConnectionError: "the connection was lost",
}


def _words(error: BaseException) -> str:
    for kind, words in _WORDS.items():
        if isinstance(error, kind):
            return words
    # The system's own words, without what the exception adds to them.
    number = error.errno if isinstance(error, OSError) else None
    return os.strerror(number) if number else type(error).__name__
