"""Follows a run on a cluster to an end, and heals it on the way; also stops and resumes one."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from launcher import acting
from launcher.acting import Tell
from launcher.kube import ForbiddenError, Kube, KubeError, LogRequest, UnreachableError
from launcher.manifests import RunPlan
from launcher.manifests.storage import run_directory
from launcher.observed import Observed
from launcher.observing import NoSuchRunError, Observer, read_plan
from launcher.progress_reading import LOG_LINES, newest_progress
from launcher.reasons import State
from launcher.reconcile import Action, Desired, decide
from launcher.run_status import RunStatus, Subject, status
from launcher.submission import complete
from trainer.contract.exit_codes import ExitCode
from trainer.contract.progress import RunProgress

POLL_SECONDS = 2.0
"""Between two looks at a run where nothing is to be done."""

BUSY_SECONDS = 0.3
"""Between two looks where something was just done, and the next step may be due."""

ENDS_A_RUN = (
    ExitCode.USAGE, ExitCode.DATA, ExitCode.SOFTWARE, ExitCode.NO_PERMISSION, ExitCode.CONFIG,
)  # fmt: skip
"""Codes that a run may fail with; any other end of it counts as a crash."""


@dataclass
class Clock:
    """Time and sleep, for tests to replace.

    Attributes:
        monotonic: Seconds that never go back.
        sleep: Waits for so many seconds.
        time: Seconds since 1970.
    """

    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    time: Callable[[], float] = time.time


@dataclass
class Followed:
    """A run that exists on a cluster.

    Attributes:
        kube: The cluster.
        plan: What the run is made of.
        tell: Is told, in lines, what happens.
        clock: Time.
    """

    kube: Kube
    plan: RunPlan
    tell: Tell
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        self.observer = Observer(self.kube, self.plan.name, self.clock.monotonic)
        self._may_heal = True

    @classmethod
    def find(cls, kube: Kube, run: str, tell: Tell, clock: Clock | None = None) -> "Followed":
        """Reads what a run is made of.

        Raises:
            NoSuchRunError: There is none of that name.
        """
        return cls(kube, read_plan(kube, run), tell, clock or Clock())

    @property
    def desired(self) -> Desired:
        """What the run shall be."""
        spec = self.plan.experiment.spec
        return Desired(spec.workers, spec.restart.node_lost_after)

    def status_of(self, observed: Observed) -> RunStatus:
        """What the run is doing."""
        subject = Subject(self.plan.namespace, self.plan.experiment.name, run_directory(self.plan))
        return status(subject, self.desired, observed, self.clock.time())

    def heal(self, observed: Observed) -> list[Action]:
        """Does what is to be done now, and returns it; nothing for one who may only look."""
        actions = list(decide(self.desired, observed, self.clock.time())) if self._may_heal else []
        try:
            acting.act(self.kube, self.plan, actions, self.tell)
        except ForbiddenError as error:
            self._may_heal = False
            self.tell(f"{error}\nWaiting goes on, without healing the run.")
        return actions

    def wait(
        self, timeout: float | None = None, on_status: Callable[[RunStatus], None] = lambda _: None
    ) -> int:
        """Follows the run until it has ended or is stopped, and heals it.

        Of a run that has ended it lets no Job go on that nobody would look after any more.
        A server that doesn't answer for a while is waited for, once it has answered.

        Args:
            timeout: Give up after so many seconds; None for never.
            on_status: Is given what the run is doing, at every look.

        Returns:
            OK if it finished, the run's own exit code if it failed, TERMINATED if it was stopped or deleted,
            INCOMPLETE if the time was over.
        """
        began = self.clock.monotonic()
        answered, complained = False, False
        while True:
            busy = False
            try:
                observed = self.observer.observe()
                busy = bool(self.heal(observed))
                answered, complained = True, False
                now = self.status_of(observed)
                on_status(now)
                if now.state.is_final and not self._has_more_to_end(observed):
                    return exit_code(now)
            except NoSuchRunError:
                self.tell(f"run {self.plan.name} was deleted")
                return ExitCode.TERMINATED
            except UnreachableError as error:
                if not answered:
                    raise
                if not complained:
                    self.tell(f"{error.what}: {error.why}; trying again")
                complained = True
            if timeout is not None and self.clock.monotonic() - began >= timeout:
                return ExitCode.INCOMPLETE
            self.clock.sleep(BUSY_SECONDS if busy else POLL_SECONDS)

    def _has_more_to_end(self, observed: Observed) -> bool:
        """Whether Jobs of an ended run go on, which somebody has to look after."""
        ended = observed.ended_chief is not None
        return ended and self._may_heal and any(not job.finished for job in observed.jobs.values())

    def stop(self) -> RunStatus:
        """Suspends the run, and waits until no pod is left; what it reached is kept at worker 0's Job."""
        observed = self.observer.observe()
        if self.status_of(observed).state in (State.SUCCEEDED, State.FAILED, State.DELETING):
            return self.status_of(observed)
        listener = _Listener(self.kube, observed)
        acting.suspend(self.kube, observed.jobs.values(), suspended=True)
        said = ""
        while (now := self.status_of(observed := self.observer.observe())).state is State.STOPPING:
            if now.message != said:
                said = now.message
                self.tell(said)
            self.heal(observed)
            self.clock.sleep(BUSY_SECONDS)
        progress = listener.last() or observed.progress
        if progress is not None and 0 in observed.jobs:
            acting.keep_progress(self.kube, observed.jobs[0], progress)
        return self.status_of(self.observer.observe())

    def resume(self) -> RunStatus:
        """Lets a stopped run go on; makes the Jobs of a failed one anew. Returns what it was before."""
        observed = self.observer.observe()
        before = self.status_of(observed)
        if before.state is State.FAILED:
            acting.recreate(self.kube, list(observed.jobs.values()))
            while (observed := self.observer.observe()).jobs or any(pod.live for pod in observed.pods):
                self.clock.sleep(BUSY_SECONDS)
            complete(self.kube, self.plan, range(self.desired.workers))
        else:
            acting.suspend(self.kube, observed.jobs.values(), suspended=False)
        return before


def exit_code(ended: RunStatus) -> int:
    """What `wait` ends with."""
    if ended.state is State.SUCCEEDED:
        return ExitCode.OK
    if ended.state is State.STOPPED:
        return ExitCode.TERMINATED
    return ended.exit_code if ended.exit_code in ENDS_A_RUN else ExitCode.CRASH


class _Listener:
    """Reads worker 0's log until its container ends: with a pod that is suspended, its log goes too."""

    def __init__(self, kube: Kube, observed: Observed) -> None:
        alive = [pod.name for pod in observed.pods_of(0) if pod.live]
        self._kube, self._pod = kube, alive[-1] if alive else None
        self._last: RunProgress | None = None
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def last(self) -> RunProgress | None:
        """The last progress that was written, once no more can come."""
        self._thread.join(timeout=10)
        return self._last

    def _read(self) -> None:
        if self._pod is None:
            return
        try:
            for line in self._kube.log(self._pod, LogRequest(tail=LOG_LINES, follow=True)):
                self._last = newest_progress([line]) or self._last
        except KubeError:
            return  # What was read until then is the last that can be known.
