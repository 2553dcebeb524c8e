"""On which addresses processes wait for others."""

from __future__ import annotations

import ipaddress
import sys
from pathlib import Path

from tests.end_to_end.processes import command_of

LISTENING = "0A"


def listening(pids: list[int]) -> list[tuple[str, str]]:
    """Command and address of each TCP socket on which any of these processes waits for others."""
    addresses = dict(entry for table in ("tcp", "tcp6") for entry in _listening(Path(f"/proc/{pids[0]}/net/{table}")))
    commands = {pid: command_of(pid).replace(b"\0", b" ").decode() for pid in pids}
    return [(commands[pid], addresses[inode]) for pid in pids for inode in _open_sockets(pid) if inode in addresses]


def _listening(table: Path):
    for line in table.read_text().splitlines()[1:]:
        fields = line.split()
        if fields[3] == LISTENING:
            yield fields[9], str(_address(fields[1].partition(":")[0]))


def _address(digits: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """The kernel's hexadecimal digits, word by word in the machine's byte order."""
    words = [bytes.fromhex(digits[start : start + 8]) for start in range(0, len(digits), 8)]
    packed = b"".join(word[::-1] if sys.byteorder == "little" else word for word in words)
    address = ipaddress.ip_address(packed)
    return getattr(address, "ipv4_mapped", None) or address


def _open_sockets(pid: int) -> list[str]:
    folder = Path(f"/proc/{pid}/fd")
    try:
        targets = [str(file.readlink()) for file in folder.iterdir()]
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [target.removeprefix("socket:[").removesuffix("]") for target in targets if target.startswith("socket:[")]
