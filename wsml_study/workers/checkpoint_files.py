"""A trial's state on disk: the bytes of `torch.save`, and their digest, which is written last."""

from __future__ import annotations

import hashlib
from pathlib import Path

from pyarrow import fs

STATE_FILE = "state.pt"
DIGEST_FILE = "state.sha256"


def write_state(folder: Path, content: bytes) -> None:
    """Write a state into a folder of its own."""
    (folder / STATE_FILE).write_bytes(content)
    (folder / DIGEST_FILE).write_text(hashlib.sha256(content).hexdigest())


def whole_state(filesystem: fs.FileSystem, folder: str) -> bytes | None:
    """The saved state, or None if the folder is gone, or what it holds was damaged or not written to its end."""
    try:
        content, digest = (_read(filesystem, f"{folder}/{name}") for name in (STATE_FILE, DIGEST_FILE))
    except FileNotFoundError:
        return None
    return content if hashlib.sha256(content).hexdigest().encode() == digest else None


def _read(filesystem: fs.FileSystem, path: str) -> bytes:
    with filesystem.open_input_file(path) as file:
        return bytes(file.read())
