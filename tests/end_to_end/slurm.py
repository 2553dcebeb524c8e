"""A SLURM cluster on this machine: a controller, and hosts out of namespaces with a slurmd each."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.end_to_end.namespaces import SYSTEM_PATH, Host, host_network, run, skip_without

BRIDGE, NETWORK = "wsml-slurm", "10.213.78"
CONFIG = """\
ClusterName=wsml
SlurmctldHost={hostname}({network}.1)
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
ReturnToService=2
StateSaveLocation={folder}/controller
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
{nodes}
PartitionName=all Nodes=ALL Default=YES State=UP
"""


@dataclass(frozen=True)
class Slurm:
    """A running cluster.

    Attributes:
        config: its slurm.conf.
        num_cpus: of each host.
    """

    config: Path
    num_cpus: int

    def __call__(self, *command: str | Path, folder: Path, environment: dict[str, str]) -> str:
        """A command of SLURM in a folder, and what it prints."""
        return subprocess.run(
            list(map(str, command)),
            cwd=folder,
            env=environment | {"SLURM_CONF": str(self.config)},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        ).stdout


@contextmanager
def slurm(num_hosts: int) -> Iterator[Slurm]:
    """A cluster for the duration of a block."""
    skip_without("munged", "slurmctld", "slurmd", "sbatch", "srun")
    # Sockets' paths have at most 107 bytes.
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="slurm-", ignore_cleanup_errors=True) as short:
        yield from _running(Path(short), num_hosts)


def _running(folder: Path, num_hosts: int) -> Iterator[Slurm]:
    num_cpus = os.cpu_count() or 1
    config = folder / "slurm.conf"
    names = [
        f"NodeName={BRIDGE}-{number} NodeAddr={NETWORK}.{10 + number} CPUs={num_cpus}" for number in range(num_hosts)
    ]
    config.write_text(
        CONFIG.format(hostname=socket.gethostname(), network=NETWORK, folder=folder, nodes="\n".join(names))
    )
    (folder / "controller").mkdir()
    with munge(folder), host_network(folder, BRIDGE, NETWORK, num_hosts, lambda host: slurmd(host, folder)):
        started = subprocess.Popen(
            ["slurmctld", "-D", "-f", config], env=os.environ | {"PATH": SYSTEM_PATH}, stderr=subprocess.DEVNULL
        )
        try:
            cluster = Slurm(config, num_cpus)
            wait_until_idle(cluster, folder, num_hosts)
            yield cluster
        finally:
            started.terminate()
            started.wait()


@contextmanager
def munge(folder: Path) -> Iterator[None]:
    """The daemon by which SLURM's programs know each other."""
    key = folder / "munge.key"
    key.write_bytes(secrets.token_bytes(128))
    key.chmod(0o400)
    files = {"socket": "munge.socket", "key-file": key.name, "pid-file": "munged.pid"}
    files |= {"log-file": "munged.log", "seed-file": "munged.seed"}
    run("munged", "--force", *(f"--{option}={folder}/{name}" for option, name in files.items()))
    try:
        yield
    finally:
        os.kill(int((folder / "munged.pid").read_text()), signal.SIGTERM)


def slurmd(host: Host, folder: Path) -> str:
    """The command that serves a host; bash, its first process, collects what ends without a parent, as init does."""
    (folder / f"spool-{host.name}").mkdir()
    return f"slurmd -D -f {folder}/slurm.conf -N {host.name} & wait"


def wait_until_idle(cluster: Slurm, folder: Path, num_hosts: int) -> None:
    deadline = time.monotonic() + 60
    environment = dict(os.environ)
    while (
        states := cluster("sinfo", "-h", "-o", "%D %t", folder=folder, environment=environment)
    ) != f"{num_hosts} idle\n":
        assert time.monotonic() < deadline, states
        time.sleep(0.5)
