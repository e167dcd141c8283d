"""Who is killed when: follows a run through what its supervisors say, and aims."""

import os
import random
import signal
import threading
import time
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import psutil

from launcher.restart_log import Restart
from trainer.contract.messages import Message, Progress, Started

AIM_SECONDS = 8.0
"""How long a kill waits for the moment it aims at; then it strikes anyway."""

EFFECT_SECONDS = 5.0
"""How long the effect of a kill is waited for; some have none, such as the death of a standby."""


class Aim(StrEnum):
    SAVE = "save"
    EPOCH_END = "epoch end"
    VALIDATION = "validation"
    START_UP = "start-up"
    ANY = "any"


SHARES = {Aim.SAVE: 0.25, Aim.EPOCH_END: 0.2, Aim.VALIDATION: 0.1, Aim.START_UP: 0.1}
"""How many of the kills aim where; the rest come at any time."""

_PHASES = {Aim.EPOCH_END: ("epoch_end", "averaging"), Aim.VALIDATION: ("validating",)}
_ROLES = {"training": 0.55, "supervisor": 0.3, "standby": 0.15}
_SIGNALS = {signal.SIGKILL: 0.6, signal.SIGTERM: 0.2, signal.SIGSTOP: 0.2}
_SHORT_SECONDS = (0.5, 6.0)
_LONG_SHARE = 0.3


@dataclass
class Kill:
    """One shot.

    Attributes:
        moment: Seconds since the run began.
        phase: What the victim's worker was doing; `save` where a checkpoint was being written.
        frozen_seconds: How long the victim was stopped, with SIGSTOP.
        restart: What followed; None where training was not interrupted.
        over: Whether training was over before anything could follow.
    """

    moment: float
    aim: Aim
    role: str
    worker: int
    number: int
    phase: str
    frozen_seconds: float = 0.0
    restart: Restart | None = None
    over: bool = False


def draw_aims(kills: int, source: random.Random) -> list[Aim]:
    """So many aims in a drawn order, each with its share, rounded up."""
    aims = [aim for aim, share in SHARES.items() for _ in range(-int(-kills * share // 1))]
    aims = (aims + [Aim.ANY] * kills)[:kills]
    source.shuffle(aims)
    return aims


class Assault(threading.Thread):
    """A view of a run that also shoots at it, from a thread of its own, until the run or the aims end.

    Attributes:
        kills: What it has shot at so far.
        output: What the run has shown.
        stopped: Whether somebody else asked the run to stop, as Ctrl-C does.
    """

    def __init__(
        self,
        aims: list[Aim],
        workers: int,
        checkpoints: str,
        source: random.Random,
        longest_freeze: float = _SHORT_SECONDS[1],
    ) -> None:
        super().__init__(daemon=True)
        self._longest_freeze = longest_freeze
        self.kills: list[Kill] = []
        self.output: list[str] = []
        self.stopped = False
        self._aims = aims
        self._workers = workers
        self._checkpoints = Path(checkpoints)
        self._source = source
        self._changed = threading.Condition()
        self._training: dict[int, int] = {}
        self._doing: dict[int, str] = {}
        self._stepped: set[int] = set()
        self._went_on: list[Restart] = []
        self._awaiting: list[tuple[Kill, int]] = []
        self._down = False
        self._over = False
        self._began = time.monotonic()

    # A view of the run.

    def line(self, worker: int, text: str) -> None:
        self.output.append(f"[worker {worker}] {text}")

    def told(self, message: Message) -> None:
        with self._changed:
            if isinstance(message, Started):
                self._training[message.worker] = message.pid
                self._doing[message.worker] = "building"
            elif isinstance(message, Progress):
                self._doing[message.worker] = message.doing or message.phase
                self._stepped.add(message.worker)
            self._changed.notify_all()

    def interrupted(self, restart: Restart) -> None:
        self.output.append(f"interrupted: {restart.cause}")
        with self._changed:
            self._down = True
            self._changed.notify_all()

    def went_on(self, restart: Restart) -> None:
        with self._changed:
            self._down = False
            self._went_on.append(restart)
            self._changed.notify_all()

    def stopping(self) -> None:
        self.output.append("stopping")
        self.stopped = True

    def end(self) -> None:
        """The run is over: no more shots."""
        with self._changed:
            self._over = True
            self._changed.notify_all()
        self.join()
        self._settle()

    # Shots at it.

    def run(self) -> None:
        while self._aims and not self._over:
            aim = self._aims[0]
            if not self._wait_for(aim):
                return
            kill = self._shoot(aim)
            if kill is None:
                continue
            self._aims.pop(0)
            self.kills.append(kill)
            self._await_effect(kill)

    def _wait_for(self, aim: Aim) -> bool:
        """Returns when it is time to shoot; False if the run has ended."""
        with self._changed:
            if aim is Aim.START_UP:
                self._changed.wait_for(lambda: self._over or self._down, timeout=0.5)
            else:
                self._changed.wait_for(lambda: self._over or self._running())
        if self._over:
            return False
        time.sleep(self._source.uniform(0.0, 2.0))
        if aim is Aim.SAVE:
            self._wait_for_save()
        elif aim in _PHASES:
            with self._changed:
                self._changed.wait_for(
                    lambda: self._over or self._doing.get(0) in _PHASES[aim], timeout=AIM_SECONDS
                )
            time.sleep(self._source.uniform(0.0, 0.02))
        return not self._over

    def _running(self) -> bool:
        return not self._down and len(self._stepped) == self._workers

    def _wait_for_save(self) -> None:
        deadline = time.monotonic() + AIM_SECONDS
        while time.monotonic() < deadline and not self._over and not self._is_saving():
            time.sleep(0.0005)

    def _is_saving(self) -> bool:
        try:
            newest = max(self._checkpoints.iterdir(), key=lambda path: path.stat().st_mtime, default=None)
        except FileNotFoundError:
            return False
        return newest is not None and not (newest / "manifest.json").exists()

    def _shoot(self, aim: Aim) -> Kill | None:
        worker = self._source.randrange(self._workers)
        role = _draw(_ROLES, self._source)
        number = _draw(_SIGNALS, self._source)
        frozen = draw_freeze(self._longest_freeze, self._source) if number == signal.SIGSTOP else 0.0
        victim = self._process(role, worker)
        if victim is None:
            time.sleep(0.01)
            return None
        phase = "save" if self._is_saving() else self._doing.get(worker, "start-up")
        moment = time.monotonic() - self._began
        try:
            victim.send_signal(number)
        except psutil.NoSuchProcess:
            return None
        if frozen:
            threading.Timer(frozen, _wake, [victim]).start()
        return Kill(moment, aim, role, worker, number, phase, frozen)

    def _process(self, role: str, worker: int) -> psutil.Process | None:
        try:
            training = psutil.Process(self._training[worker])
            supervisor = training.parent()
            if role == "training" or supervisor is None or supervisor.pid in (1, os.getpid()):
                return training
            if role == "supervisor":
                return supervisor
            return next(child for child in supervisor.children() if child.pid != training.pid)
        except (KeyError, StopIteration, psutil.NoSuchProcess):
            return None

    def _await_effect(self, kill: Kill) -> None:
        """Waits until training has gone on, except where the next kill is to strike before that."""
        with self._changed:
            known = len(self._went_on)
            self._awaiting.append((kill, known))
            following = self._aims[0] if self._aims else None
            if following is Aim.START_UP:
                return
            self._changed.wait_for(
                lambda: self._over or self._down or len(self._went_on) > known,
                timeout=EFFECT_SECONDS + kill.frozen_seconds,
            )
            self._changed.wait_for(lambda: self._over or not self._down)
            self._settle()

    def _settle(self) -> None:
        """Says of every kill that was waited for what followed it."""
        for kill, known in self._awaiting:
            kill.over = self._over or kill.phase == "train_end"
            if len(self._went_on) > known and acts(kill):
                kill.restart = self._went_on[known]
        self._awaiting.clear()


def acts(kill: Kill) -> bool:
    """Whether it is a training process or a supervisor that the signal does something to."""
    return kill.role == "supervisor" or (kill.role == "training" and kill.number != signal.SIGTERM)


def draw_freeze(longest: float, source: random.Random) -> float:
    """Seconds of a freeze: a short one that may go unnoticed, or, some of them, up to the longest."""
    shortest, middle = _SHORT_SECONDS
    if longest <= middle:
        return source.uniform(shortest, longest)
    return (
        source.uniform(middle, longest) if source.random() < _LONG_SHARE else source.uniform(shortest, middle)
    )


def _draw(weights: dict, source: random.Random):
    return source.choices(list(weights), list(weights.values()))[0]


def _wake(victim: psutil.Process) -> None:
    try:
        victim.send_signal(signal.SIGCONT)
    except psutil.NoSuchProcess:
        return
