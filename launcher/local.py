"""A run on this machine: one supervisor per worker, started again when it dies, until the run has ended."""

import os
import selectors
import signal
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Protocol

from launcher.local_group import FROZEN_SECONDS, Group, Outcome, exit_text
from launcher.local_process import (
    WorkerProcess,
    adopted_orphans,
    end_orphans,
    supervisor_command,
)
from launcher.restart_log import Restart, RestartLog
from trainer.contract.exit_codes import ExitCode
from trainer.contract.messages import Message, Stop, Supervise
from trainer.contract.training import Experiment

_ENDING = {
    signal.SIGINT: ExitCode.INTERRUPTED,
    signal.SIGTERM: ExitCode.TERMINATED,
    signal.SIGHUP: ExitCode.TERMINATED,
}


_ASLEEP_SECONDS = 5.0
"""A pass that takes so much longer than it was to wait: this process, and perhaps all, had been stopped."""


class View(Protocol):
    """Who is told what happens, as it happens."""

    def line(self, worker: int, text: str) -> None:
        """A worker printed a line."""

    def told(self, message: Message) -> None:
        """A supervisor sent a message, its own or its training process's."""

    def interrupted(self, restart: Restart) -> None:
        """Training was interrupted; `restart.retried` says whether it goes on."""

    def went_on(self, restart: Restart) -> None:
        """All workers have completed their first new step since."""

    def stopping(self) -> None:
        """The run was asked to stop, and saves."""


@dataclass(frozen=True)
class LocalRun:
    """Everything that decides a run on this machine.

    Attributes:
        experiment: What is trained.
        folder: Folder with its code, absolute.
        name: Name of the run.
        directory: URL of its directory.
        addresses: `host:port` of each worker's training processes, kept free for them.
        leader: `host:port` of worker 0's supervisor, kept free for it.
        digest: Of experiment and code.
        frozen_seconds: A supervisor that says nothing for so long is killed and started again.
        metrics_port: Where worker 0 exports metrics, the others at the ports behind it; None for nowhere.
        dry: Whether its callbacks are watched, to be judged.
    """

    experiment: Experiment
    folder: str
    name: str
    directory: str
    addresses: tuple[str, ...]
    leader: str
    digest: str
    frozen_seconds: float = FROZEN_SECONDS
    metrics_port: int | None = None
    dry: bool = False

    @property
    def metrics_ports(self) -> tuple[int, ...]:
        """Where each worker exports metrics; none where they are not exported."""
        if self.metrics_port is None or not self.experiment.spec.metrics.enabled:
            return ()
        return tuple(self.metrics_port + worker for worker in range(len(self.addresses)))

    @property
    def linger(self) -> int:
        """Seconds that worker 0 may wait at the end for its metrics to be read."""
        return self.experiment.spec.metrics.linger if self.metrics_ports else 0


def run(
    plan: LocalRun,
    view: View,
    environment: Mapping[str, str] = os.environ,
    command: Sequence[str] = (),
) -> Outcome:
    """Trains with one supervisor per worker and returns when none of them, nor a child of theirs, is left.

    The first SIGINT, SIGTERM or SIGHUP asks for a stop with a save, a second one ends all at once. Call it
    from the main thread.

    Args:
        plan: What to run.
        view: Is told what happens.
        environment: What the workers inherit.
        command: What starts a supervisor; `python -m trainer` unless told otherwise.

    Returns:
        How the run ended, and why.
    """
    with ExitStack() as stack:
        stack.enter_context(adopted_orphans())
        signals = stack.enter_context(_signals())
        supervisors = stack.enter_context(
            _Supervisors(plan, view, environment, command or supervisor_command())
        )
        supervisors.watch(signals)
        return supervisors.outcome()


class _Supervisors:
    """The supervisors of a run, as processes."""

    def __init__(
        self, plan: LocalRun, view: View, environment: Mapping[str, str], command: Sequence[str]
    ) -> None:
        self._plan = plan
        self._view = view
        self._environment = environment
        self._devices = gpu_shares(environment, len(plan.addresses))
        self._command = command
        self._group = Group(len(plan.addresses), plan.frozen_seconds, plan.linger)
        self._log = RestartLog(len(plan.addresses))
        self._running: dict[int, WorkerProcess] = {}
        self._killed: set[int] = set()
        self._selector = selectors.DefaultSelector()

    def __enter__(self) -> "_Supervisors":
        return self

    def __exit__(self, *error: object) -> None:
        for process in list(self._running.values()):
            self._take_leave(process)
        end_orphans(())
        self._selector.close()

    def watch(self, signals: socket.socket) -> None:
        """Returns once all have left for good, or are to be ended."""
        self._selector.register(signals, selectors.EVENT_READ)
        for worker in range(len(self._plan.addresses)):
            self._start(worker)
        while not self._group.all_left:
            now = time.monotonic()
            if self._group.deadline is not None and self._group.deadline <= now:
                return
            for worker in self._group.due(now):
                self._start(worker)
            following = self._group.next_time
            timeout = None if following is None else max(0.0, following - time.monotonic())
            ready = self._selector.select(timeout)
            woke = time.monotonic()
            if timeout is not None and woke - now > timeout + _ASLEEP_SECONDS:
                self._group.slept(woke)
            if any(key.fileobj is signals for key, _ in ready):
                self._take_signals(signals)
            for process in list(self._running.values()):
                self._pass_on(process)
                self._restart_if_exited(process)
            # Only now, when all that they said has been heard: this process may have been stopped itself.
            self._kill_frozen()

    def outcome(self) -> Outcome:
        """How the run ended."""
        for process in list(self._running.values()):
            self._take_leave(process)
        restarts = tuple(restart for restart in self._log.restarts if restart.retried)
        return self._group.outcome(restarts)

    def _start(self, worker: int) -> None:
        process = WorkerProcess(worker, self._command, self._environment)
        self._running[worker] = process
        self._selector.register(process.channel, selectors.EVENT_READ)
        self._selector.register(process.output, selectors.EVENT_READ)
        self._group.started(worker, time.monotonic())
        process.tell(self._supervise(worker))

    def _supervise(self, worker: int) -> Supervise:
        plan = self._plan
        host, _, port = plan.addresses[worker].rpartition(":")
        return Supervise(
            folder=plan.folder,
            experiment=plan.experiment.model_dump(mode="json"),
            run=plan.name,
            run_directory=plan.directory,
            worker=worker,
            workers=len(plan.addresses),
            digest=plan.digest,
            leader=plan.leader,
            host=host,
            port=int(port),
            group_wait=float(plan.experiment.spec.restart.group_wait),
            max_failures=plan.experiment.spec.restart.max_failures,
            devices=self._devices[worker],
            deadline=plan.experiment.spec.deadline,
            metrics_port=plan.metrics_ports[worker] if plan.metrics_ports else None,
            linger=plan.linger,
            dry=plan.dry,
        )

    def _pass_on(self, process: WorkerProcess, *, last: bool = False) -> None:
        for message in process.messages():
            self._group.told(message)
            self._group.heard(process.worker, time.monotonic())
            restart = self._log.told(message, time.monotonic())
            self._view.told(message)
            if restart is not None:
                (self._view.went_on if restart.seconds is not None else self._view.interrupted)(restart)
        for text in process.last_lines() if last else process.lines():
            self._view.line(process.worker, text)

    def _restart_if_exited(self, process: WorkerProcess) -> None:
        status = process.status()
        if status is None:
            return
        # What it said before its end says more than its exit code.
        self._take_leave(process)
        end_orphans({each.pid for each in self._running.values()})
        now = time.monotonic()
        if self._group.exited(process.worker, status, now) is not None:
            frozen = process.worker in self._killed
            how = "was frozen, and was killed" if frozen else exit_text(status)
            self._killed.discard(process.worker)
            restart = self._log.supervisor_exited(process.worker, how, now)
            if restart is not None:
                self._view.interrupted(restart)

    def _kill_frozen(self) -> None:
        for worker in self._group.frozen(time.monotonic()):
            waited = f"{self._plan.frozen_seconds:g} s"
            self._view.line(worker, f"its supervisor has said nothing for {waited} and is killed")
            self._running[worker].kill()
            self._killed.add(worker)

    def _take_leave(self, process: WorkerProcess) -> None:
        del self._running[process.worker]
        process.end_once()
        self._pass_on(process, last=True)
        self._selector.unregister(process.channel)
        self._selector.unregister(process.output)
        process.close()

    def _take_signals(self, signals: socket.socket) -> None:
        for number in signals.recv(4096):
            code = _ENDING.get(signal.Signals(number))
            if code is None or self._group.all_left:
                continue
            if self._group.asked_to_end(code, time.monotonic()):
                for process in self._running.values():
                    process.tell(Stop())
                self._view.stopping()


def gpu_shares(environment: Mapping[str, str], workers: int) -> list[str | None]:
    """Deals out this machine's GPUs, in turn; a single worker sees what it would see anyway.

    Args:
        environment: CUDA_VISIBLE_DEVICES in it limits what is dealt out.
        workers: How many share.

    Returns:
        CUDA_VISIBLE_DEVICES per worker: None leaves it alone, an empty text means the CPU, which all of them
        use where there are fewer GPUs than workers, since two workers cannot share one.
    """
    visible = environment.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        names = os.listdir("/dev") if os.path.isdir("/dev") else []
        numbers = (name.removeprefix("nvidia") for name in names if name.startswith("nvidia"))
        gpus = sorted((number for number in numbers if number.isdigit()), key=int)
    else:
        gpus = [part for part in visible.split(",") if part]
    if workers == 1 or not gpus:
        return [None] * workers
    each = len(gpus) // workers
    return [",".join(gpus[worker * each : (worker + 1) * each]) for worker in range(workers)]


@contextmanager
def _signals() -> Iterator[socket.socket]:
    """Turns signals into bytes that can be read beside everything else, one per signal, its number."""
    reading, writing = socket.socketpair()
    reading.setblocking(False)
    writing.setblocking(False)
    before = signal.set_wakeup_fd(writing.fileno(), warn_on_full_buffer=False)
    # One that is ignored, as SIGHUP is under nohup, stays so.
    numbers = [number for number in _ENDING if signal.getsignal(number) is not signal.SIG_IGN]
    numbers.append(signal.SIGCHLD)
    handlers = {number: signal.signal(number, lambda *_: None) for number in numbers}
    try:
        yield reading
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(before)
        reading.close()
        writing.close()
