"""A worker's supervisor: `python -m trainer --channel FD --parent PID`; PID 1 of its container.

It takes a `Supervise` message as the first line from the inherited socket. It never imports TensorFlow.
"""

import argparse
import asyncio
import socket
import sys
from collections.abc import Sequence

from trainer.contract.messages import Supervise
from trainer.inherited import first_message, inherited_channel
from trainer.supervisor.supervisor import supervise


def main(arguments: Sequence[str] | None = None, command: Sequence[str] = ()) -> int:
    """Supervises one worker of a run to its end.

    Args:
        arguments: The command line without the program's name.
        command: What starts a training process, if not the real one.

    Returns:
        A value of `ExitCode`.
    """
    parser = argparse.ArgumentParser(prog="python -m trainer", description=__doc__)
    parser.add_argument("--channel", type=int, required=True, help="descriptor of the inherited socket")
    parser.add_argument("--parent", type=int, required=True, help="process id of the parent")
    options = parser.parse_args(arguments)
    channel = inherited_channel(options.channel, options.parent)
    plan = _read_plan(channel)
    return asyncio.run(supervise(plan, channel, command))


def _read_plan(channel: socket.socket) -> Supervise:
    message = first_message(channel)
    if not isinstance(message, Supervise):
        raise TypeError(f"expected what to supervise, received {type(message).__name__}")
    return message


if __name__ == "__main__":
    sys.exit(main())
