"""The training process's end of the line to whoever started it: reports what is done, waits for words."""

import socket
import threading
from collections.abc import Callable

from trainer.contract.messages import Leave, LineBuffer, Message, Progress, decode, encode
from trainer.contract.position import Position

_INTERVAL_SECONDS = 0.25


class Control:
    """A gate that lets every ticket pass and tells how far training has come.

    Args:
        channel: The inherited socket, after its first line was read.
        worker: Zero-based number of this worker.
        clock: Monotonic seconds.
    """

    def __init__(self, channel: socket.socket, worker: int, clock: Callable[[], float]) -> None:
        self._channel = channel
        self._worker = worker
        self._clock = clock
        self._sending = threading.Lock()
        self._leave = threading.Event()
        self._last: tuple[float, Position | None] = (float("-inf"), None)
        threading.Thread(target=self._listen, name="control", daemon=True).start()

    def begin(self, position: Position) -> None:
        """Passes the gate before a ticket. Nothing holds anybody yet."""

    def completed(self, position: Position) -> None:
        """Reports a ticket that is known to be done, unless one of its phase was reported just before."""
        now = self._clock()
        sent, last = self._last
        if (last is not None and last.phase is position.phase) and now - sent < _INTERVAL_SECONDS:
            return
        self._last = (now, position)
        self.send(Progress(self._worker, position.epoch, position.phase.value, position.step))

    def send(self, message: Message) -> None:
        """Sends a message; one that nobody is there to read is dropped: the process is about to be ended."""
        with self._sending:
            try:
                self._channel.sendall(encode(message))
            except (BrokenPipeError, ConnectionResetError):
                return

    def wait_until_all_have_finished(self) -> None:
        """Blocks until the other side says that no worker needs this process any more."""
        self._leave.wait()

    def _listen(self) -> None:
        lines = LineBuffer()
        while True:
            try:
                data = self._channel.recv(65536)
            except ConnectionResetError:
                data = b""
            if not data:
                return
            for line in lines.feed(data):
                if isinstance(decode(line), Leave):
                    self._leave.set()
