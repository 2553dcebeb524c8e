"""Hosts out of namespaces of this machine: their own name, network, processes, home and /tmp/ray. Needs root.

Processes of their own matter: `ray stop` ends all Ray that it can see.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

SYSTEM_PATH = f"{os.environ['PATH']}:/usr/sbin:/sbin"


@dataclass(frozen=True)
class Host:
    """One of them.

    Attributes:
        name: of its network namespace, and its hostname.
        address: in the network of the bridge.
        home: of its root.
    """

    name: str
    address: str
    home: Path


def skip_without(*programs: str) -> None:
    """Skip a test that cannot make hosts here."""
    needed = ("ip", "unshare", "nsenter", *programs)
    if os.geteuid() != 0 or any(shutil.which(program, path=SYSTEM_PATH) is None for program in needed):
        pytest.skip(f"needs root and {', '.join(needed)}")


@contextmanager
def host_network(
    folder: Path, bridge: str, network: str, num_hosts: int, server: Callable[[Host], str]
) -> Iterator[list[Host]]:
    """Hosts on a bridge for the duration of a block.

    Args:
        folder: for homes and logs.
        bridge: its name, which those of the hosts begin with; ten characters at most.
        network: the first three numbers of its addresses; this machine has 1, hosts have 10, 11, ...
        num_hosts: how many.
        server: the shell command that runs in a host as long as it lives, told after its home is made.
    """
    made = [
        Host(f"{bridge}-{number}", f"{network}.{10 + number}", folder / f"home-{number}") for number in range(num_hosts)
    ]
    processes: list[subprocess.Popen[bytes]] = []
    Path("/tmp/ray").mkdir(exist_ok=True)
    run("ip", "link", "add", bridge, "type", "bridge")
    try:
        run("ip", "addr", "add", f"{network}.1/24", "dev", bridge)
        run("ip", "link", "set", bridge, "up")
        for host in made:
            (host.home / "ray").mkdir(parents=True)
            _join(host, bridge, network)
            processes.append(_start(host, server(host), folder))
        yield made
    finally:
        for host, process in zip(made, processes, strict=False):
            process.kill()
            process.wait()
            run("ip", "link", "del", f"{host.name}v")
            run("ip", "netns", "del", host.name)
        run("ip", "link", "del", bridge)


def run(*command: str) -> None:
    """A command of the system, which must succeed."""
    subprocess.run(command, check=True, env=os.environ | {"PATH": SYSTEM_PATH})


def _join(host: Host, bridge: str, network: str) -> None:
    run("ip", "netns", "add", host.name)
    run("ip", "link", "add", f"{host.name}v", "type", "veth", "peer", "name", "eth0", "netns", host.name)
    run("ip", "link", "set", f"{host.name}v", "master", bridge, "up")
    run("ip", "-n", host.name, "link", "set", "lo", "up")
    run("ip", "-n", host.name, "addr", "add", f"{host.address}/24", "dev", "eth0")
    run("ip", "-n", host.name, "link", "set", "eth0", "up")
    run("ip", "-n", host.name, "route", "add", "default", "via", f"{network}.1")


def _start(host: Host, server: str, folder: Path) -> subprocess.Popen[bytes]:
    inside = f"hostname {host.name} && mount --bind {host.home}/ray /tmp/ray && {server}"
    network = ["nsenter", f"--net=/var/run/netns/{host.name}"]
    namespaces = ["unshare", "--uts", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child"]
    with (folder / f"{host.name}.log").open("w") as log:
        return subprocess.Popen(
            [*network, *namespaces, "bash", "-c", inside],
            stdout=log,
            stderr=log,
            env=os.environ | {"PATH": SYSTEM_PATH},
        )
