"""One end of a stream socket that carries messages, served by the event loop and never waited for."""

import asyncio
import socket
from collections.abc import Callable

from trainer.contract.messages import LineBuffer, Message, decode, encode

_READ_BYTES = 1 << 16


class MessageChannel:
    """Reads and writes messages without ever blocking the event loop.

    Args:
        end: The socket; it is this object's from now on.
        hear: Takes a message.
        closed: Is called once when the other side has closed.
        lines: Bytes that were read before.
    """

    def __init__(
        self,
        end: socket.socket,
        hear: Callable[[Message], None],
        closed: Callable[[], None],
        lines: LineBuffer | None = None,
    ) -> None:
        end.setblocking(False)
        self._socket = end
        self._hear = hear
        self._closed = closed
        self._lines = lines or LineBuffer()
        self._unsent = b""
        self._open = True
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(end, self.read)

    def send(self, message: Message) -> None:
        """Sends a message; one to a side that has gone is dropped."""
        if self._open:
            self._unsent += encode(message)
            self._write()

    def read(self) -> None:
        """Hears what has arrived."""
        while self._open:
            try:
                data = self._socket.recv(_READ_BYTES)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self._loop.remove_reader(self._socket)
                self._closed()
                return
            for line in self._lines.feed(data):
                self._hear(decode(line))

    def close(self) -> None:
        """Closes the socket."""
        if self._open:
            self._open = False
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
            self._socket.close()

    async def drained(self) -> None:
        """Waits until everything is sent; the caller limits how long."""
        while self._unsent:
            await asyncio.sleep(0.01)

    def _write(self) -> None:
        # A frozen reader takes nothing; what it is told waits here, never the event loop.
        try:
            sent = self._socket.send(self._unsent)
            self._unsent = self._unsent[sent:]
        except BlockingIOError:
            pass
        except OSError:
            self._unsent = b""
        if self._unsent:
            self._loop.add_writer(self._socket, self._write)
        else:
            self._loop.remove_writer(self._socket)
