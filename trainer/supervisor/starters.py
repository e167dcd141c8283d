"""Several that are told what one supervisor says."""

import asyncio
from collections.abc import Mapping

from trainer.contract.messages import Message, Supervise
from trainer.supervisor.event_recorder import EventRecorder
from trainer.supervisor.notifications.notifier import Notifier
from trainer.supervisor.supervisor import Starter


class Several:
    """Tells each of them, in their order; see `trainer.supervisor.supervisor.Starter`."""

    def __init__(self, *starters: Starter) -> None:
        self._starters = list(starters)

    def add(self, starter: Starter) -> None:
        """Tells one more, behind the others."""
        self._starters.append(starter)

    def send(self, message: Message) -> None:
        """Passes a message on."""
        for starter in self._starters:
            starter.send(message)

    async def drained(self) -> None:
        """Returns once all have taken everything."""
        # Twice: what one still has to say of its own drain, the others have to hear.
        for _ in range(2):
            await asyncio.gather(*(starter.drained() for starter in self._starters))


def starters_of(plan: Supervise, environment: Mapping[str, str], *others: Starter) -> Several:
    """Those who are told what a supervisor says: on worker 0 also who keeps the events and who tells people.

    Args:
        plan: What the supervisor does.
        environment: Where the addresses of notifications are.
        others: Who is told in any case.
    """
    several = Several(*others)
    if plan.worker == 0:
        several.add(EventRecorder(plan.run_directory))
        several.add(Notifier(plan, environment, several.send))
    return several
