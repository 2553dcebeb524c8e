"""Hosts with an sshd each, out of namespaces of this machine: their own name, network, processes, home and /tmp/ray.

Processes of their own matter: `ray stop` ends all Ray that it can see.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

BRIDGE, NETWORK = "wsml-ssh", "10.213.77"
NEEDED = ("ip", "unshare", "ssh", "ssh-keygen", "rsync", "sshd")


@dataclass(frozen=True)
class Host:
    """One of them.

    Attributes:
        name: of its network namespace.
        address: in the network of the bridge.
        home: of its root.
    """

    name: str
    address: str
    home: Path


@contextmanager
def hosts(folder: Path, num_hosts: int) -> Iterator[tuple[Path, list[Host]]]:
    """The private key that lets one in, and hosts for the duration of a block."""
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    if os.geteuid() != 0 or any(shutil.which(program, path=path) is None for program in NEEDED):
        pytest.skip(f"needs root and {', '.join(NEEDED)}")
    key, made = folder / "key", []
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key))
    run("ip", "link", "add", BRIDGE, "type", "bridge")
    try:
        run("ip", "addr", "add", f"{NETWORK}.1/24", "dev", BRIDGE)
        run("ip", "link", "set", BRIDGE, "up")
        for number in range(num_hosts):
            host = Host(f"{BRIDGE}-{number}", f"{NETWORK}.{10 + number}", folder / f"home-{number}")
            made.append((host, start(host, folder, key, number)))
        for host, _ in made:
            wait_for_port(host.address, 22)
        yield key, [host for host, _ in made]
    finally:
        for host, process in made:
            process.kill()
            process.wait()
            run("ip", "netns", "del", host.name)
        run("ip", "link", "del", BRIDGE)


def start(host: Host, folder: Path, key: Path, number: int) -> subprocess.Popen[bytes]:
    (host.home / "ray").mkdir(parents=True)
    Path("/run/sshd").mkdir(exist_ok=True)
    Path("/tmp/ray").mkdir(exist_ok=True)
    users = [line for line in Path("/etc/passwd").read_text().splitlines() if not line.startswith("root:")]
    (host.home / "passwd").write_text("\n".join([f"root:x:0:0:root:{host.home}:/bin/bash", *users]) + "\n")
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(host.home / "host_key"))
    (host.home / "sshd_config").write_text(
        f"ListenAddress {host.address}\nHostKey {host.home}/host_key\nAuthorizedKeysFile {key}.pub\n"
        "PermitRootLogin prohibit-password\nStrictModes no\nUsePAM no\nPidFile none\n"
    )
    run("ip", "netns", "add", host.name)
    run("ip", "link", "add", f"wsml{number}", "type", "veth", "peer", "name", "eth0", "netns", host.name)
    run("ip", "link", "set", f"wsml{number}", "master", BRIDGE, "up")
    for device, arguments in (("lo", ()), ("eth0", ("addr", "add", f"{host.address}/24", "dev", "eth0"))):
        if arguments:
            run("ip", "-n", host.name, *arguments)
        run("ip", "-n", host.name, "link", "set", device, "up")
    run("ip", "-n", host.name, "route", "add", "default", "via", f"{NETWORK}.1")
    inside = (
        f"hostname {host.name} && mount --bind {host.home}/passwd /etc/passwd && "
        f"mount --bind {host.home}/ray /tmp/ray && "
        f"exec $(command -v sshd || echo /usr/sbin/sshd) -D -e -f {host.home}/sshd_config"
    )
    namespaces = ["unshare", "--uts", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child"]
    with (folder / f"{host.name}.log").open("w") as log:
        return subprocess.Popen(
            ["ip", "netns", "exec", host.name, *namespaces, "sh", "-c", inside], stdout=log, stderr=log
        )


def run(*command: str) -> None:
    subprocess.run(command, check=True, env=os.environ | {"PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"})


def wait_for_port(address: str, port: int) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            socket.create_connection((address, port), timeout=2).close()
        except OSError:
            assert time.monotonic() < deadline, f"nobody answers at {address}:{port}"
            time.sleep(0.2)
        else:
            return
