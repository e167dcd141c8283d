"""A supervisor that a launcher started on this machine, and that ends with it."""

import asyncio
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack

from trainer.contract.messages import Message, Supervise
from trainer.supervisor.channel import MessageChannel
from trainer.supervisor.outlook import Outlook
from trainer.supervisor.starters import starters_of, without_addresses
from trainer.supervisor.status_server import StatusServer
from trainer.supervisor.supervisor import Starter, Supervisor

_HOST = "127.0.0.1"


async def supervise(
    plan: Supervise,
    launcher: socket.socket,
    command: Sequence[str] = (),
    environment: Mapping[str, str] = os.environ,
) -> int:
    """Supervises one worker of a run for a launcher.

    Args:
        plan: What to do.
        launcher: The inherited socket, after the plan was read.
        command: What starts a training process, if not the real one.
        environment: What it inherits.

    Returns:
        The exit code.

    Raises:
        OSError: The metrics port cannot be bound.
    """
    outlook = Outlook(plan)

    def connect(hear: Callable[[Message], None], closed: Callable[[], None]) -> Starter:
        return starters_of(plan, environment, outlook, MessageChannel(launcher, hear, closed))

    supervisor = Supervisor(plan, connect, command, without_addresses(environment, plan))
    outlook.of(supervisor)
    async with AsyncExitStack() as stack:
        if plan.metrics_port is not None:
            server = StatusServer((_HOST,), plan.metrics_port, outlook.routes())
            await stack.enter_async_context(server)
        code = await supervisor.run()
        alive = asyncio.create_task(supervisor.keep_alive())
        try:
            await outlook.linger(supervisor.asked_to_end)
        finally:
            alive.cancel()
        return code
