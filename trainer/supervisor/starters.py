"""Several that are told what one supervisor says."""

import asyncio
import contextlib
from collections.abc import Mapping

from trainer.contract.messages import Message, Supervise
from trainer.contract.notifications import url_variables
from trainer.supervisor.event_recorder import EventRecorder
from trainer.supervisor.supervisor import Starter

_LAST_SECONDS = 1.5
"""The recorder of events pauses for a second between two writes."""


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
        await asyncio.gather(*(starter.drained() for starter in self._starters))
        # Once more: what one has said of its own drain, the others have to write.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_SECONDS):
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
        if plan.experiment["spec"].get("notifications") and not plan.dry:
            # What speaks HTTP takes a tenth of a second to import, which a restart has better use for.
            from trainer.supervisor.notifications.notifier import Notifier  # noqa: PLC0415

            several.add(Notifier(plan, environment, several.send))
    return several


def without_addresses(environment: Mapping[str, str], plan: Supervise) -> dict[str, str]:
    """What a training process may inherit: all but the addresses of notifications."""
    hidden = url_variables(plan.experiment)
    return {name: value for name, value in environment.items() if name not in hidden}
