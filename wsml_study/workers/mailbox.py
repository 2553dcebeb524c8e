"""The mailbox through which a Tune actor commands its workers.

`Mailbox` never looks into a message, so its process need not import what messages are made of, and starts at once.
"""

from __future__ import annotations

import asyncio
import pickle
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import ray

if TYPE_CHECKING:
    from wsml_study.workers.protocol import Command, Reply

LARGE_BYTES = 100 * 2**10
"""Longer messages (states and weights of trials) go through Ray's object store, past the mailbox's process."""

NAMED = "wsml-mailbox-"
"""Begins the name of every mailbox's actor, by which the driver finds it."""

STARTING = "starting workers"


class Mailbox:
    """A queue of commands per rank, one queue of replies, and the address at which rank 0 awaits the other ranks."""

    def __init__(self, num_ranks: int) -> None:
        self._commands: list[asyncio.Queue[Any]] = [asyncio.Queue() for _ in range(num_ranks)]
        self._replies: asyncio.Queue[Any] = asyncio.Queue()
        self._announced = asyncio.Event()
        self._rendezvous: tuple[str, int] | None = None
        self._preparation = STARTING

    async def send(self, command: Any) -> None:
        """Give every rank the command."""
        for queue in self._commands:
            queue.put_nowait(command)

    async def ask(self, command: Any) -> Any:
        """Give every rank the command, and wait for the reply to it."""
        await self.send(command)
        return await self._replies.get()

    async def next_command(self, rank: int) -> Any:
        """Wait for a rank's next command."""
        return await self._commands[rank].get()

    async def reply(self, reply: Any) -> None:
        """Answer the newest command."""
        self._replies.put_nowait(reply)

    async def announce(self, address: str, port: int) -> None:
        """Publish where rank 0 listens for the other ranks."""
        self._rendezvous = (address, port)
        self._announced.set()

    async def rendezvous(self) -> tuple[str, int]:
        """Wait until rank 0 has announced address and port, and return them."""
        await self._announced.wait()
        assert self._rendezvous is not None
        return self._rendezvous

    async def prepares(self, what: str) -> None:
        """Note what rank 0 does before it can train; empty once it can."""
        self._preparation = what

    async def preparation(self) -> str:
        """What rank 0 noted last."""
        return self._preparation


class MailboxClient(Protocol):
    """A mailbox as Tune actor and workers use it, wherever it runs; methods block, and mean what `Mailbox` says."""

    def send(self, command: Command[Any]) -> None:
        """Give every rank the command."""

    def ask(self, command: Command[Any]) -> Reply:
        """Give every rank the command, and wait for the reply to it."""

    def next_command(self, rank: int) -> Command[Any]:
        """Wait for a rank's next command."""

    def reply(self, reply: Reply) -> None:
        """Answer the newest command."""

    def announce(self, address: str, port: int) -> None:
        """Publish where rank 0 listens for the other ranks."""

    def rendezvous(self) -> tuple[str, int]:
        """Wait until rank 0 has announced address and port, and return them."""

    def prepares(self, what: str) -> None:
        """Note what rank 0 does before it can train, without waiting; empty once it can."""


@dataclass(frozen=True)
class RayMailbox:
    """Client of a mailbox that is a Ray actor; pickles to the workers.

    Attributes:
        actor: its handle.
    """

    actor: Any

    @classmethod
    def start(cls, num_ranks: int) -> RayMailbox:
        """Start the actor; it ends with the last handle."""
        name = f"{NAMED}{uuid.uuid4().hex}"
        return cls(ray.remote(Mailbox).options(num_cpus=0, name=name).remote(num_ranks))

    def send(self, command: Command[Any]) -> None:
        """Give every rank the command."""
        ray.get(self.actor.send.remote(_packed(command)))

    def ask(self, command: Command[Any]) -> Reply:
        """Give every rank the command, and wait for the reply to it."""
        reply: Reply = _unpacked(ray.get(self.actor.ask.remote(_packed(command))))
        return reply

    def next_command(self, rank: int) -> Command[Any]:
        """Wait for a rank's next command."""
        command: Command[Any] = _unpacked(ray.get(self.actor.next_command.remote(rank)))
        return command

    def reply(self, reply: Reply) -> None:
        """Answer the newest command."""
        ray.get(self.actor.reply.remote(_packed(reply)))

    def announce(self, address: str, port: int) -> None:
        """Publish where rank 0 listens for the other ranks."""
        ray.get(self.actor.announce.remote(address, port))

    def rendezvous(self) -> tuple[str, int]:
        """Wait until rank 0 has announced address and port, and return them."""
        found: tuple[str, int] = ray.get(self.actor.rendezvous.remote())
        return found

    def prepares(self, what: str) -> None:
        """Note what rank 0 does before it can train, without waiting; empty once it can."""
        self.actor.prepares.remote(what)


def _packed(message: object) -> bytes | list[ray.ObjectRef[bytes]]:
    content = pickle.dumps(message)
    # Ray passes a reference on only inside of something; as an argument of its own it would fetch the content.
    return [ray.put(content)] if len(content) > LARGE_BYTES else content


def _unpacked(packed: bytes | list[ray.ObjectRef[bytes]]) -> Any:
    return pickle.loads(packed if isinstance(packed, bytes) else ray.get(packed[0]))
