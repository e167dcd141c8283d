"""One worker of a run as a process: `python -m trainer.training_process --channel FD --parent PID`.

It ends with its parent, takes its assignment from the inherited socket, pins what has to be pinned before
TensorFlow is imported, trains, and tells how that ended. Whatever is raised becomes a `Failed` message and an
exit code. Told to `Prepare` first, it imports all that it will need and waits for its assignment: a standby.
"""

import argparse
import faulthandler
import gc
import importlib
import logging
import os
import select
import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from trainer import user_code
from trainer.contract import cluster
from trainer.contract.cluster import Cluster, to_tf_config
from trainer.contract.exit_codes import ExitCode
from trainer.contract.messages import (
    Assignment,
    Finished,
    ImportAhead,
    ImportedAhead,
    Prepare,
    Started,
    Warm,
    encode,
)
from trainer.contract.training import Experiment
from trainer.control import Control
from trainer.failure import describe, gone_back
from trainer.inherited import first_message, inherited_channel
from trainer.last_ticket import LastTicket
from trainer.lean_imports import lean_imports
from trainer.lifeline import (
    guard_group,
    leave_signals_to_supervisor,
    restore_signals_in_forks,
)
from trainer.threads import pin_environment, thread_count
from trainer.tickets import RollBackRequested, StopRequested


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one worker from its assignment to its end.

    Args:
        arguments: The command line without the program's name.

    Returns:
        A value of `ExitCode`.
    """
    parser = argparse.ArgumentParser(prog="python -m trainer.training_process", description=__doc__)
    parser.add_argument("--channel", type=int, required=True, help="descriptor of the inherited socket")
    parser.add_argument("--parent", type=int, required=True, help="process id of the parent")
    options = parser.parse_args(arguments)

    channel = inherited_channel(options.channel, options.parent)
    leave_signals_to_supervisor()
    guard_group(channel)
    restore_signals_in_forks()
    faulthandler.enable()
    message = first_message(channel)
    last_ticket = None
    if isinstance(message, Prepare):
        last_ticket = _last_ticket(message)
        _prepare(message)
        channel.sendall(encode(Warm(os.getpid())))
        message = first_message(channel)
    while isinstance(message, ImportAhead):
        _import_ahead(message, channel)
        message = first_message(channel)
    if not isinstance(message, Assignment):
        raise TypeError(f"expected an assignment, received {type(message).__name__}")
    control = Control(channel, message.worker, message.attempt, time.monotonic, last_ticket)
    control.send(Started(message.worker, os.getpid()))
    return _work(message, control)


def _last_ticket(message: Prepare) -> LastTicket | None:
    if message.last_ticket is None:
        return None
    page = LastTicket(message.last_ticket)
    page.close()
    return page


def _prepare(message: Prepare) -> None:
    """Imports all that needs no experiment, so that a standby begins at once when it is needed."""
    pin_environment(os.environ, message.threads)
    _configure_logging()
    with lean_imports():
        importlib.import_module("trainer.training_run")


def _configure_logging() -> None:
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")


def _import_ahead(message: ImportAhead, channel: socket.socket) -> None:
    """Imports what the experiment will; ends this process where that changes what a training depends on."""
    # As in `_prepare`: it needs TensorFlow.
    from trainer.library_imports import import_ahead  # noqa: PLC0415

    def is_spoken_to() -> bool:
        return bool(select.select([channel], [], [], 0)[0])

    changed = import_ahead(message.modules, message.seed, is_spoken_to)
    channel.sendall(encode(ImportedAhead(os.getpid(), tuple(changed))))
    # As after all other imports.
    gc.freeze()
    if changed:
        _leave_at_once(ExitCode.CRASH)


def _work(assignment: Assignment, control: Control) -> int:
    folder = Path(assignment.folder)
    experiment = Experiment.model_validate(assignment.experiment)
    threads = assignment.threads or thread_count(
        experiment.spec.training.threads, os.cpu_count() or 1, assignment.workers
    )
    pin_environment(os.environ, threads)
    if len(assignment.addresses) > 1:
        os.environ[cluster.VARIABLE] = to_tf_config(Cluster(assignment.addresses, assignment.worker))
    _configure_logging()
    try:
        user_code.install(folder)
        # Here and no earlier: it imports TensorFlow, which reads the environment only then.
        with lean_imports():
            from trainer.training_run import train  # noqa: PLC0415

        result = train(assignment, experiment, control, threads)
    except StopRequested:
        # All is saved and told; whoever asked for the stop ends this process.
        control.wait_until_let_go()
        _leave_at_once(ExitCode.TERMINATED)
    except RollBackRequested as back:
        control.send(gone_back(back.record, assignment.worker))
        _leave_at_once(ExitCode.TERMINATED)
    except BaseException as error:  # noqa: BLE001 - nothing is hidden: every one is reported and ends the process
        failed = describe(error, folder, assignment.worker)
        control.send(failed)
        _leave_at_once(failed.exit_code)
    control.send(Finished(assignment.worker, result))
    control.wait_until_let_go()
    return ExitCode.OK


def _leave_at_once(code: int) -> None:
    """Exits without TensorFlow's shutdown, which waits for workers that will never come."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    sys.exit(main())
