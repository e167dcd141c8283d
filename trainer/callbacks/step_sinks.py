"""Where records of training steps go: JSON lines in the run's directory, an HTTP server, a function."""

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from trainer.contract import plain_json
from trainer.http_post import Address, post
from trainer.storage import StorageError, open_store

Record = Mapping[str, Any]
"""What is known of an execution of training steps; docs/callbacks/streaming.md lists its fields."""

SEGMENT_BYTES = 1 << 20
"""About so much goes into one file: it is written whole each time something is added."""

_SEGMENT = re.compile(r"(?P<epoch>\d{5,})-(?P<step>\d{9,})\.jsonl")


class SinkError(Exception):
    """Records could not be sent.

    Attributes:
        again: Whether another try may be worth while, and sends none of them twice.
        retry_after: Seconds that the other side has asked to wait.
    """

    def __init__(self, why: str, *, again: bool = False, retry_after: float | None = None) -> None:
        super().__init__(why)
        self.again = again
        self.retry_after = retry_after


class Sink(Protocol):
    """Takes records, on a thread that may wait.

    One with a true attribute `replaces_repeated` replaces what it has of a step, and of all behind it, by
    what it is given of that step later; for such a one, checkpoints keep records that had not been sent.
    """

    @property
    def pause(self) -> float:
        """Seconds to gather records for, between two calls."""

    def send(self, records: Sequence[Record]) -> None:
        """Takes records, in their order.

        Raises:
            Exception: They could not be sent; a `SinkError` may say that they can be tried again.
        """


class FileSink:
    """JSON lines, as files `<url>/<epoch>-<step>.jsonl` that are named by their first record.

    Each step is there once: where a run goes on from an earlier step, or another training begins, what stands
    there of that step and of all behind it is cut off.

    Args:
        url: Directory of the files.
    """

    pause = 5.0
    replaces_repeated = True

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        self._store = open_store(url)
        self._name = ""
        self._text = ""
        self._last: tuple[int, int] | None = None

    def send(self, records: Sequence[Record]) -> None:
        """See `Sink`."""
        try:
            self._write(records)
        except StorageError as error:
            # What is written is written whole, so another try writes nothing twice.
            raise SinkError(str(error), again=True) from error

    def _write(self, records: Sequence[Record]) -> None:
        first = _place(records[0])
        if self._last is None or first <= self._last:
            self._cut_from(first)
            self._name = ""
        if not self._name or len(self._text) >= SEGMENT_BYTES:
            name, text = f"{first[0]:05d}-{first[1]:09d}.jsonl", ""
        else:
            name, text = self._name, self._text
        text += "".join(plain_json.dumps(record) + "\n" for record in records)
        self._store.put(f"{self._url}/{name}", text.encode())
        self._name, self._text, self._last = name, text, _place(records[-1])

    def _cut_from(self, first: tuple[int, int]) -> None:
        """Takes away what was written of a step and all behind it, by whatever process."""
        for name in reversed([each for each in self._store.list(self._url) if _SEGMENT.fullmatch(each)]):
            url = f"{self._url}/{name}"
            lines = self._store.get(url).decode(errors="replace").splitlines(keepends=True)
            kept = "".join(_before(first, lines))
            if not kept:
                self._store.delete(url)
                continue
            if len(kept) < sum(map(len, lines)):
                self._store.put(url, kept.encode())
            return


class HttpSink:
    """JSON lines by POST, with the type `application/x-ndjson`.

    Args:
        address: Where to.
    """

    pause = 1.0

    def __init__(self, address: Address) -> None:
        self._address = address

    def send(self, records: Sequence[Record]) -> None:
        """See `Sink`."""
        body = "".join(plain_json.dumps(record) + "\n" for record in records).encode()
        headers = {"Content-Type": "application/x-ndjson", "User-Agent": "perdure"}
        answer = post(self._address, body, headers, time.time())
        if not answer.delivered:
            raise SinkError(answer.why, again=answer.again, retry_after=answer.retry_after)


class CountingSink:
    """Counts records and sends none: what stands for a server or a function where nothing is to reach it.

    Attributes:
        records: How many it was given.
    """

    pause = 1.0

    def __init__(self) -> None:
        self.records = 0

    def send(self, records: Sequence[Record]) -> None:
        """See `Sink`."""
        self.records += len(records)


class FunctionSink:
    """A function that takes a list of records; it has a thread of its own, and may take its time.

    Args:
        function: What to call.
    """

    pause = 1.0

    def __init__(self, function: Callable[[list[dict[str, Any]]], object]) -> None:
        self._function = function

    def send(self, records: Sequence[Record]) -> None:
        """See `Sink`."""
        self._function([dict(record) for record in records])


def _place(record: Record) -> tuple[int, int]:
    return int(record["epoch"]), int(record["step"])


def _before(first: tuple[int, int], lines: Sequence[str]) -> Iterator[str]:
    for line in lines:
        try:
            place = _place(json.loads(line))
        except (ValueError, KeyError, TypeError):
            continue
        if place < first:
            yield line
