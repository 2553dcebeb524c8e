"""The process group of a trial's workers, which listens on a worker's own address alone.

Ray Train's own set-up lets torch's store listen on every network of a machine, for a single worker too, which needs no
group. Workers find each other through their mailbox.
"""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import ray
import torch.distributed
from torch.distributed import TCPStore  # type: ignore[attr-defined]

from wsml_study.methods.contract import Peers


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
    if ipaddress.ip_address(address).is_loopback:
        os.environ.update(GLOO_SOCKET_IFNAME="lo", NCCL_SOCKET_IFNAME="lo")
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
