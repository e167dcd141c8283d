"""Free ports on this machine that stay free until a worker takes them."""

import socket
from types import TracebackType
from typing import Self

HOST = "127.0.0.1"


class HeldPorts:
    """Ports that no other program is given, and that the workers can still listen on.

    Each port is bound, with SO_REUSEADDR and without listening, for as long as this is open. So the kernel
    hands it out to nobody who asks for any free port, while the worker's server, which sets SO_REUSEADDR too,
    may bind it by its number: there is no moment at which it is free for all.
    """

    def __init__(self, count: int) -> None:
        self._sockets: list[socket.socket] = []
        for _ in range(count):
            held = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            self._sockets.append(held)
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            held.bind((HOST, 0))

    @property
    def addresses(self) -> tuple[str, ...]:
        """`host:port` of each."""
        return tuple(f"{HOST}:{held.getsockname()[1]}" for held in self._sockets)

    def close(self) -> None:
        """Gives the ports up."""
        for held in self._sockets:
            held.close()

    def __enter__(self) -> Self:
        """Holds the ports until the block ends."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Gives the ports up."""
        self.close()
