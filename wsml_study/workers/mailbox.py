"""Where a Tune actor and its workers leave each other messages.

A file of its own, so that the actor's process imports little and starts at once.
"""

from __future__ import annotations

import asyncio
from typing import Any


class Mailbox:
    """Async actor between a Tune actor and its workers: a queue of commands per rank, one queue of replies.

    Also where the workers learn how to reach the first of them.
    """

    def __init__(self, num_ranks: int) -> None:
        self._commands: list[asyncio.Queue[tuple[Any, ...]]] = [asyncio.Queue() for _ in range(num_ranks)]
        self._replies: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()
        self._announced = asyncio.Event()
        self._meeting_point: tuple[str, int] | None = None

    async def send(self, *command: Any) -> None:
        """Give every rank the command."""
        for queue in self._commands:
            queue.put_nowait(command)

    async def ask(self, *command: Any) -> tuple[str, Any]:
        """Give every rank the command, and wait for the reply to it."""
        await self.send(*command)
        return await self._replies.get()

    async def next_command(self, rank: int) -> tuple[Any, ...]:
        """Wait for a rank's next command."""
        return await self._commands[rank].get()

    async def reply(self, kind: str, content: Any) -> None:
        """Answer the command that is being waited for."""
        self._replies.put_nowait((kind, content))

    async def announce(self, address: str, port: int) -> None:
        """Say where the first rank waits for the others."""
        self._meeting_point = (address, port)
        self._announced.set()

    async def meeting_point(self) -> tuple[str, int]:
        """Wait until the first rank has said where it waits."""
        await self._announced.wait()
        assert self._meeting_point is not None
        return self._meeting_point
