"""A supervisor's training process and standby: which process is which, and what they are given."""

import logging
import os
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from trainer import user_code
from trainer.contract.messages import (
    Assignment,
    ImportAhead,
    Imported,
    ImportedAhead,
    LeftOff,
    LibraryModule,
    Message,
    Prepare,
    Progress,
    Supervise,
    Warm,
)
from trainer.contract.position import Phase
from trainer.supervisor.processes import ChildProcess, Children
from trainer.threads import thread_count

FROZEN_SECONDS = 1.5
"""How long a training process may be stopped (SIGSTOP) before it counts as lost."""

IMPORT_SECONDS = 30.0
"""How long a standby that is needed may go on with the one module that it is importing ahead."""

_STANDBY_PAUSE = 1.0
_STANDBY_TRIES = 5
_log = logging.getLogger(__name__)


def training_command() -> list[str]:
    """The command that starts a training process or a standby, without the working directory on its path."""
    return [sys.executable, "-P", "-m", "trainer.training_process"]


class WorkerProcesses:
    """One training process at a time, and one standby that takes its place in milliseconds.

    A standby that waits imports the libraries that a training process before it told the experiment to need.
    One that says that this was not harmless ends itself; the next ones do without, and so they do where one
    died of it. Whichever had been given an attempt by then is replaced: it has done nothing of it yet.

    A new standby is started only once the training process trains, so that its import, seconds of computing,
    does not delay the restart it follows.

    Args:
        plan: What this supervisor is to do.
        command: What starts a child.
        environment: What the children inherit.
        said: Takes what the training process says.
        died: Is told the exit status of the training process once nothing of it is left.
        later: Calls a function after so many seconds.
    """

    def __init__(
        self,
        plan: Supervise,
        command: Sequence[str],
        environment: Mapping[str, str],
        said: Callable[[Message], None],
        died: Callable[[int], None],
        later: Callable[[float, Callable[[], None]], Any],
    ) -> None:
        self._plan = plan
        self._began = time.monotonic()
        self._command = command
        self._said = said
        self._died = died
        self._later = later
        self._children = Children(self._child_died)
        self._training: ChildProcess | None = None
        self._standby: ChildProcess | None = None
        self._standby_failures = 0
        self._libraries: dict[LibraryModule, None] = {}
        self._may_import_ahead = True
        self._assignment: Assignment | None = None
        self._importing_since: float | None = None
        self._held_port: socket.socket | None = None
        self._closing = False
        training = plan.experiment["spec"]["training"]
        cores = os.cpu_count() or 1
        self._seed = training.get("seed", 0)
        self._threads = plan.threads or thread_count(training.get("threads", "auto"), cores, plan.workers)
        self._environment = _environment(environment, self._seed, plan.devices)

    def prepare(self) -> None:
        """Starts a standby, unless there is one."""
        if self._standby is not None or self._closing or self._standby_failures >= _STANDBY_TRIES:
            return
        try:
            self._start_standby()
        except OSError as error:
            # Training goes on without one, where there may be no more processes or no memory for them.
            _log.warning("a standby could not be started: %s", error)
            self._standby_failures += 1
            self._later(_STANDBY_PAUSE, self.prepare)

    def start(
        self,
        attempt: int,
        addresses: tuple[str, ...],
        earlier_seconds: float = 0.0,
        led_before: float = 0.0,
    ) -> None:
        """Makes the standby the training process of an attempt; it may still have to import.

        Args:
            attempt: Its number.
            addresses: `host:port` of every worker's training process, in order.
            earlier_seconds: How long all earlier attempts ran.
            led_before: How long those of them ran that an earlier leader has led.
        """
        plan = self._plan
        self._assignment = Assignment(
            folder=plan.folder,
            experiment=plan.experiment,
            run=plan.run,
            run_directory=plan.run_directory,
            worker=plan.worker,
            workers=plan.workers,
            attempt=attempt,
            addresses=addresses,
            resume=True,
            digest=plan.digest,
            threads=plan.threads,
            dry=plan.dry,
            earlier_seconds=earlier_seconds,
            held_since=self._began - led_before,
            gpus=plan.gpus,
        )
        self._assign(self._assignment)

    def tell(self, message: Message) -> None:
        """Sends a message to the training process, if there is one."""
        self._tell(message)

    def kill(self) -> None:
        """Kills the training process and all it started; `died` is called once they are buried."""
        self._assignment = None
        if self._training is not None:
            self._training.kill()

    def look(self, now: float) -> bool:
        """Buries the dead; tells whether the training process has been stopped for too long.

        Args:
            now: Monotonic seconds.
        """
        self._children.reap(now)
        self._end_if_it_only_imports(now)
        since = self._training.frozen_since if self._training is not None else None
        return since is not None and now - since > FROZEN_SECONDS

    def close(self) -> None:
        """Kills everything; call `look` until `empty`."""
        self._closing = True
        self._assignment = None
        self._children.kill_all()
        if self._held_port is not None:
            self._held_port.close()

    @property
    def empty(self) -> bool:
        """Whether no child is left."""
        return not self._children.pids

    def next_address(self) -> str:
        """`host:port` for the next training process; the port stays ours until that process takes it."""
        plan = self._plan
        port = plan.port
        if not port:
            if self._held_port is not None:
                self._held_port.close()
            family = socket.AF_INET6 if ":" in plan.host else socket.AF_INET
            self._held_port = socket.socket(family, socket.SOCK_STREAM)
            # Bound without listening: nobody else is given it, and a server with SO_REUSEADDR may bind it.
            self._held_port.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._held_port.bind((plan.host, 0))
            port = self._held_port.getsockname()[1]
        return f"[{plan.host}]:{port}" if ":" in plan.host else f"{plan.host}:{port}"

    def _assign(self, assignment: Assignment) -> None:
        # Whatever failed before: an attempt needs a process, and its failure is reported with its cause.
        self._standby_failures = 0
        if self._standby is None and not self._closing:
            self._start_standby()
        self._training, self._standby = self._standby, None
        self._tell(assignment)

    def _start_standby(self) -> None:
        self._standby = self._children.start(self._command, self._environment, self._hear)
        self._standby.tell(Prepare(self._threads, self._standby.last_ticket.descriptor))
        self._have_imported_ahead()

    def _end_if_it_only_imports(self, now: float) -> None:
        if self._training is None or not self._training.importing:
            self._importing_since = None
        elif self._importing_since is None:
            self._importing_since = now
        elif now - self._importing_since > IMPORT_SECONDS:
            self._training.kill()

    def _have_imported_ahead(self) -> None:
        if self._standby is not None and self._libraries and self._may_import_ahead:
            self._standby.importing = True
            self._standby.tell(ImportAhead(tuple(self._libraries), self._seed))

    def _tell(self, message: Message) -> None:
        if self._training is not None:
            self._training.tell(message)

    def _hear(self, child: ChildProcess, message: Message) -> None:
        if isinstance(message, Warm):
            child.warm = True
            self._standby_failures = 0
        if isinstance(message, ImportedAhead):
            child.importing = False
            child.unfit = bool(message.changed)
        if child is not self._training:
            return
        if isinstance(message, Imported):
            self._learn(message)
            return
        if isinstance(message, Progress) and message.phase != Phase.BUILDING:
            self.prepare()
        self._said(message)

    def _learn(self, message: Imported) -> None:
        known = len(self._libraries)
        # Added to the known ones: a process tells nothing of what it was given ahead.
        self._libraries |= dict.fromkeys(message.modules)
        if len(self._libraries) > known:
            self._have_imported_ahead()

    def _child_died(self, child: ChildProcess) -> None:
        if child.importing or child.unfit:
            self._may_import_ahead = False
        if child is self._training and (child.unfit or child.importing) and self._assignment is not None:
            self._assign(self._assignment)
        elif child is self._training:
            self._training = None
            assert child.status is not None
            if (place := child.last_ticket.position) is not None:
                self._said(LeftOff(self._plan.worker, place.epoch, place.phase, place.step))
            self._died(child.status)
        elif child is self._standby:
            self._standby = None
            self._standby_failures += not child.warm
            self._later(_STANDBY_PAUSE, self.prepare)


def _environment(inherited: Mapping[str, str], seed: int, devices: str | None) -> dict[str, str]:
    # Each attempt is told its own cluster, and each training process installs the experiment's code itself.
    told = ("TF_CONFIG", user_code.VARIABLE)
    environment = {name: value for name, value in inherited.items() if name not in told}
    # The order of a set is no source of difference; what is printed appears when it is printed.
    environment |= {"PYTHONHASHSEED": str(seed % 2**32), "PYTHONUNBUFFERED": "1"}
    if devices is not None:
        environment["CUDA_VISIBLE_DEVICES"] = devices
    return environment
