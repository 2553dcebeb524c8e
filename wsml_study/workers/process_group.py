"""The process group of a trial's workers, which listens only on the address of the worker of rank 0.

Ray Train's own set-up lets torch's store listen on all interfaces of a machine, even for a single worker, which needs
no group. Here the other ranks learn rank 0's address through their mailbox.
"""

from __future__ import annotations

import fcntl
import os
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager

import ray
import torch.distributed
from torch.distributed import TCPStore  # type: ignore[attr-defined]

from wsml_study.methods.contract import Peers
from wsml_study.workers.mailbox import MailboxClient

SIOCGIFADDR = 0x8915
"""Linux's request for an interface's address, netdevice(7)."""


@contextmanager
def process_group(peers: Peers, mailbox: MailboxClient, *, backend: str) -> Iterator[None]:
    """The ranks' process group for the duration of a block; a single rank needs none.

    Args:
        peers: this rank.
        mailbox: the same for all ranks.
        backend: gloo or nccl.
    """
    if peers.size == 1:
        yield
        return
    address = ray.util.get_node_ip_address()
    if (interface := _interface_of(address)) is not None:
        # By default gloo resolves the host's name, which on Debian gives 127.0.1.1, out of reach for other machines.
        os.environ.setdefault("GLOO_SOCKET_IFNAME", interface)
        os.environ.setdefault("NCCL_SOCKET_IFNAME", interface)
    if peers.rank == 0:
        listener = socket.create_server((address, 0))
        port = listener.getsockname()[1]
        mailbox.announce(address, port)
        # The store takes over the listening socket, so that the port cannot be lost; it returns when all ranks came.
        store = TCPStore(address, port, peers.size, True, master_listen_fd=listener.detach())
    else:
        address, port = mailbox.rendezvous()
        store = TCPStore(address, port, peers.size, False)
    torch.distributed.init_process_group(backend, store=store, rank=peers.rank, world_size=peers.size)
    try:
        yield
    finally:
        torch.distributed.destroy_process_group()


def _interface_of(address: str) -> str | None:
    """The network interface that has an IPv4 address, None where none is found."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for _, name in socket.if_nameindex():
            try:
                answer = fcntl.ioctl(probe, SIOCGIFADDR, struct.pack("256s", name.encode()))
            except OSError:  # the interface has no IPv4 address
                continue
            if socket.inet_ntoa(answer[20:24]) == address:
                return name
    return None
