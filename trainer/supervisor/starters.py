"""Several that are told what one supervisor says."""

import asyncio

from trainer.contract.messages import Message
from trainer.supervisor.supervisor import Starter


class Several:
    """Tells each of them, in their order; see `trainer.supervisor.supervisor.Starter`."""

    def __init__(self, *starters: Starter) -> None:
        self._starters = starters

    def send(self, message: Message) -> None:
        """Passes a message on."""
        for starter in self._starters:
            starter.send(message)

    async def drained(self) -> None:
        """Returns once all have taken everything."""
        await asyncio.gather(*(starter.drained() for starter in self._starters))
