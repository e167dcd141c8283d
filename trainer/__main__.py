"""A worker's supervisor, started by the launcher on this machine or as PID 1 of a pod's container.

`python -m trainer --channel FD --parent PID` takes a `Supervise` message as the first line from the inherited
socket; `python -m trainer --pod` reads the variables and files of `trainer.contract.pod`. It never imports
TensorFlow.
"""
# ruff: noqa: PLC0415 - in a pod the signal handler has to stand before anything that takes time

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket

    from trainer.contract.messages import Supervise


def main(arguments: Sequence[str] | None = None, command: Sequence[str] = ()) -> int:
    """Supervises one worker of a run to its end.

    Args:
        arguments: The command line without the program's name.
        command: What starts a training process, if not the real one.

    Returns:
        A value of `ExitCode`.
    """
    parser = argparse.ArgumentParser(prog="python -m trainer", description=__doc__)
    parser.add_argument("--channel", type=int, help="descriptor of the inherited socket")
    parser.add_argument("--parent", type=int, help="process id of the parent")
    parser.add_argument("--pod", action="store_true", help="do what the pod's variables and files say")
    parser.add_argument("--root", type=Path, default=Path("/"), help="with --pod: what its files lie below")
    options = parser.parse_args(arguments)
    if options.pod:
        return _in_pod(options.root, command)
    if options.channel is None or options.parent is None:
        parser.error("either --pod, or both --channel and --parent")
    return _under_launcher(options.channel, options.parent, command)


def _in_pod(root: Path, command: Sequence[str]) -> int:
    # PID 1 ignores a SIGTERM that it has no handler for: the pod would take its whole grace period to go.
    # Nothing has begun yet that needs an end, and an exception would be lost where Python ignores it, as in
    # a destructor.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(128 + signal.SIGTERM))

    import asyncio
    import traceback

    from trainer.contract import pod
    from trainer.contract.exit_codes import ExitCode
    from trainer.contract.progress import LastWord
    from trainer.pod_entry import PodError, below, read_pod
    from trainer.supervisor.pod import supervise_in_pod, write_last_word

    message = below(root, pod.TERMINATION_MESSAGE)
    worker = os.environ.get(pod.WORKER, "")
    number = int(worker) if worker.isascii() and worker.isdigit() else -1
    try:
        plan = read_pod(os.environ, root)
        return asyncio.run(supervise_in_pod(plan, sys.stdout, message, command))
    except PodError as error:
        for problem in error.problems:
            print(f"perdure: {problem}", file=sys.stderr)  # noqa: T201
        write_last_word(message, LastWord(number, ExitCode.USAGE, "; ".join(error.problems)))
        return ExitCode.USAGE
    except Exception as error:
        reason = f"the supervisor failed: {error!r}"
        write_last_word(message, LastWord(number, ExitCode.CRASH, reason, traceback=traceback.format_exc()))
        raise


def _under_launcher(descriptor: int, parent: int, command: Sequence[str]) -> int:
    import asyncio

    from trainer.inherited import inherited_channel
    from trainer.supervisor.launched import supervise

    channel = inherited_channel(descriptor, parent)
    return asyncio.run(supervise(_read_plan(channel), channel, command))


def _read_plan(channel: "socket.socket") -> "Supervise":
    from trainer.contract.messages import Supervise
    from trainer.inherited import first_message

    message = first_message(channel)
    if not isinstance(message, Supervise):
        raise TypeError(f"expected what to supervise, received {type(message).__name__}")
    return message


if __name__ == "__main__":
    sys.exit(main())
