"""The socket that a process inherits from whoever started it, and the first message on it."""

import socket

from trainer.contract.exit_codes import ExitCode
from trainer.contract.messages import Message, decode
from trainer.lifeline import die_with_parent


def inherited_channel(descriptor: int, parent: int) -> socket.socket:
    """Takes the socket over, and ends with the process that left it.

    Args:
        descriptor: Number of the socket's descriptor.
        parent: Process id of the parent; where that has died already, this process exits at once.
    """
    die_with_parent(parent)
    channel = socket.socket(fileno=descriptor)
    channel.set_inheritable(False)
    return channel


def first_message(channel: socket.socket) -> Message:
    """Reads one message, and nothing of what follows it: that is for whoever serves the socket next.

    Raises:
        SystemExit: The other side has closed without a word.
        ValueError: The line is no message.
    """
    line = bytearray()
    while not line.endswith(b"\n"):
        waiting = channel.recv(65536, socket.MSG_PEEK)
        if not waiting:
            raise SystemExit(ExitCode.CRASH)
        line += channel.recv(waiting.find(b"\n") + 1 or len(waiting))
    return decode(bytes(line))
