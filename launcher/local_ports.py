"""Free ports on this machine that stay free until a worker takes them."""

import socket
from collections.abc import Sequence
from types import TracebackType
from typing import Self

HOST = "127.0.0.1"
_LAST_PORT = 65535


class PortTakenError(Exception):
    """A port that was asked for is another program's, or none at all.

    Attributes:
        port: Its number.
    """

    def __init__(self, port: int) -> None:
        none = f"there is no port {port}, the last one is {_LAST_PORT}"
        super().__init__(f"port {port} at {HOST} is taken" if port <= _LAST_PORT else none)
        self.port = port


class HeldPorts:
    """Ports that no other program is given, and that the workers can still listen on.

    Each port is bound, with SO_REUSEADDR and without listening, for as long as this is open. So the kernel
    hands it out to nobody who asks for any free port, while the worker's server, which sets SO_REUSEADDR too,
    may bind it by its number: there is no moment at which it is free for all.

    Args:
        count: How many, whichever they are.
        wanted: These as well.

    Raises:
        PortTakenError: One that is wanted is not free.
    """

    def __init__(self, count: int, wanted: Sequence[int] = ()) -> None:
        self._sockets: list[socket.socket] = []
        self._wanted = len(wanted)
        # First those that are wanted: else one of them might be handed out as any.
        for port in [*wanted, *(0 for _ in range(count))]:
            held = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            self._sockets.append(held)
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                held.bind((HOST, port))
            except (OSError, OverflowError) as error:
                self.close()
                raise PortTakenError(port) from error

    @property
    def addresses(self) -> tuple[str, ...]:
        """`host:port` of each that was not asked for by its number."""
        return tuple(f"{HOST}:{held.getsockname()[1]}" for held in self._sockets[self._wanted :])

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
