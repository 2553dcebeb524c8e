"""The process group of a trial's workers, which listens on a worker's own address alone.

Ray Train's own set-up lets torch's store listen on every network of a machine, for a single worker too, which needs no
group. Workers find each other through their mailbox.
"""

from __future__ import annotations

import fcntl
import os
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import ray
import torch.distributed
from torch.distributed import TCPStore  # type: ignore[attr-defined]

from wsml_study.methods.contract import Peers

SIOCGIFADDR = 0x8915
"""Linux's request for an interface's address, netdevice(7)."""


@contextmanager
def process_group(peers: Peers, mailbox: Any, *, backend: str) -> Iterator[None]:
    """The ranks' group for the duration of a block; none for one rank alone.

    Args:
        peers: this rank.
        mailbox: actor handle, the same for all of them.
        backend: gloo or nccl.
    """
    if peers.size == 1:
        yield
        return
    address = ray.util.get_node_ip_address()
    if (interface := _interface_of(address)) is not None:
        # Otherwise gloo asks what the host's name means, which on Debian is an address that no other machine reaches.
        os.environ.setdefault("GLOO_SOCKET_IFNAME", interface)
        os.environ.setdefault("NCCL_SOCKET_IFNAME", interface)
    if peers.rank == 0:
        listener = socket.create_server((address, 0))
        port = listener.getsockname()[1]
        ray.get(mailbox.announce.remote(address, port))
        # The store takes the socket over; it returns when all ranks have come.
        store = TCPStore(address, port, peers.size, True, master_listen_fd=listener.detach())
    else:
        address, port = ray.get(mailbox.meeting_point.remote())
        store = TCPStore(address, port, peers.size, False)
    torch.distributed.init_process_group(backend, store=store, rank=peers.rank, world_size=peers.size)
    try:
        yield
    finally:
        torch.distributed.destroy_process_group()


def _interface_of(address: str) -> str | None:
    """The network interface that has an IPv4 address, None where that cannot be found out."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        for _, name in socket.if_nameindex():
            try:
                answer = fcntl.ioctl(asking, SIOCGIFADDR, struct.pack("256s", name.encode()))
            except OSError:  # it has none
                continue
            if socket.inet_ntoa(answer[20:24]) == address:
                return name
    return None
