"""A run on this machine: one process per worker, watched until the last one is gone."""

import os
import selectors
import signal
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Protocol

from launcher.local_group import Group, Outcome
from launcher.local_process import WorkerProcess, adopted_orphans, training_command, worker_environment
from trainer.contract.cluster import Cluster, to_tf_config
from trainer.contract.exit_codes import ExitCode
from trainer.contract.messages import Assignment, Leave, Message
from trainer.contract.training import Experiment

_ENDING = {
    signal.SIGINT: ExitCode.INTERRUPTED,
    signal.SIGTERM: ExitCode.TERMINATED,
    signal.SIGHUP: ExitCode.TERMINATED,
}


class View(Protocol):
    """Who is told what happens, as it happens."""

    def line(self, worker: int, text: str) -> None:
        """A worker printed a line."""

    def told(self, message: Message) -> None:
        """A worker sent a message."""


@dataclass(frozen=True)
class LocalRun:
    """Everything that decides a run on this machine.

    Attributes:
        experiment: What is trained.
        folder: Folder with its code, absolute.
        name: Name of the run.
        directory: URL of its directory.
        addresses: `host:port` of each worker, free until it takes it.
    """

    experiment: Experiment
    folder: str
    name: str
    directory: str
    addresses: tuple[str, ...]


def run(
    plan: LocalRun,
    view: View,
    environment: Mapping[str, str] = os.environ,
    command: Sequence[str] = (),
) -> Outcome:
    """Trains with one process per worker and returns when none of them is left.

    SIGINT, SIGTERM and SIGHUP end all workers. Call it from the main thread.

    Args:
        plan: What to run.
        view: Is told what happens.
        environment: What the workers inherit.
        command: What starts a worker; the training process unless told otherwise.

    Returns:
        How the run ended, and why.
    """
    group = Group(len(plan.addresses))
    with ExitStack() as stack:
        stack.enter_context(adopted_orphans())
        signals = stack.enter_context(_signals())
        workers: list[WorkerProcess] = []
        for worker, given in enumerate(_environments(plan, environment)):
            process = WorkerProcess(worker, command or training_command(), given)
            stack.callback(process.close)
            workers.append(process)
            process.tell(_assignment(plan, worker))
        _watch(workers, group, view, signals)
        for process in workers:
            process.end_once()
            _pass_on(process, group, view, last=True)
    return group.outcome()


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


def _environments(plan: LocalRun, inherited: Mapping[str, str]) -> Iterator[dict[str, str]]:
    shares = gpu_shares(inherited, len(plan.addresses))
    for worker, devices in enumerate(shares):
        tf_config = to_tf_config(Cluster(plan.addresses, worker))
        yield worker_environment(inherited, tf_config, plan.experiment.spec.training.seed, devices)


def _assignment(plan: LocalRun, worker: int) -> Assignment:
    return Assignment(
        folder=plan.folder,
        experiment=plan.experiment.model_dump(mode="json"),
        run=plan.name,
        run_directory=plan.directory,
        worker=worker,
        workers=len(plan.addresses),
    )


def _watch(workers: Sequence[WorkerProcess], group: Group, view: View, signals: socket.socket) -> None:
    """Passes on what workers say and print, until all have exited or the group's deadline has come."""
    told_to_leave = False
    with selectors.DefaultSelector() as selector:
        selector.register(signals, selectors.EVENT_READ)
        for process in workers:
            selector.register(process.channel, selectors.EVENT_READ, process)
            selector.register(process.output, selectors.EVENT_READ, process)
        while not group.all_exited:
            left = None if group.deadline is None else group.deadline - time.monotonic()
            if left is not None and left <= 0:
                return
            for key, _ in selector.select(left):
                if key.data is None:
                    _take_signals(signals, group)
            for process in workers:
                _pass_on(process, group, view)
                _forget_if_exited(process, group, selector, view)
            if group.all_finished and not told_to_leave:
                told_to_leave = True
                for process in workers:
                    process.tell(Leave())


def _pass_on(process: WorkerProcess, group: Group, view: View, *, last: bool = False) -> None:
    for message in process.messages():
        group.told(message, time.monotonic())
        view.told(message)
    for text in process.last_lines() if last else process.lines():
        view.line(process.worker, text)


def _forget_if_exited(
    process: WorkerProcess, group: Group, selector: selectors.BaseSelector, view: View
) -> None:
    status = None if process.exited else process.status()
    if status is None:
        return
    process.exited = True
    # What it said before its end says more than its exit code.
    _pass_on(process, group, view)
    group.exited(process.worker, status, time.monotonic())
    # At its end, a stream would be readable for ever.
    selector.unregister(process.channel)
    selector.unregister(process.output)


def _take_signals(signals: socket.socket, group: Group) -> None:
    for number in signals.recv(4096):
        code = _ENDING.get(signal.Signals(number))
        if code is not None:
            group.ended(code, time.monotonic())


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
