"""The end of a file that may be long, such as what a command has printed."""

from __future__ import annotations

import os
from pathlib import Path


def end_of(path: Path, num_bytes: int) -> tuple[bytes, bool]:
    """The last bytes of a file, and whether there are others before them; nothing of a file that cannot be read."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - num_bytes))
            return file.read(), size > num_bytes
    except OSError:
        return b"", False
