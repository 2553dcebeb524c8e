"""Hosts with an sshd each, out of namespaces of this machine."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.end_to_end.namespaces import Host, host_network, run, skip_without

BRIDGE, NETWORK = "wsml-ssh", "10.213.77"


@contextmanager
def hosts(folder: Path, num_hosts: int) -> Iterator[tuple[Path, list[Host]]]:
    """The private key that lets one in, and hosts for the duration of a block."""
    skip_without("ssh", "ssh-keygen", "rsync", "sshd")
    key = folder / "key"
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key))
    with host_network(folder, BRIDGE, NETWORK, num_hosts, lambda host: sshd(host, key)) as made:
        for host in made:
            wait_for_port(host.address, 22)
        yield key, made


def sshd(host: Host, key: Path) -> str:
    """The command that serves a host, with its files."""
    Path("/run/sshd").mkdir(exist_ok=True)
    users = [line for line in Path("/etc/passwd").read_text().splitlines() if not line.startswith("root:")]
    (host.home / "passwd").write_text("\n".join([f"root:x:0:0:root:{host.home}:/bin/bash", *users]) + "\n")
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(host.home / "host_key"))
    (host.home / "sshd_config").write_text(
        f"ListenAddress {host.address}\nHostKey {host.home}/host_key\nAuthorizedKeysFile {key}.pub\n"
        "PermitRootLogin prohibit-password\nStrictModes no\nUsePAM no\nPidFile none\n"
    )
    return f"mount --bind {host.home}/passwd /etc/passwd && exec $(command -v sshd) -D -e -f {host.home}/sshd_config"


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
