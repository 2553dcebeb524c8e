"""What Weights & Biases has written of runs that are not online."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

BLOCK_BYTES, FILE_HEADER_BYTES, HEADER_BYTES = 32768, 7, 7
FULL, LAST = 1, 4
"""Kinds of pieces that end a record."""


def steps_by_run(folder: Path) -> dict[str, list[int]]:
    """Run -> the steps of its history, in the order in which they were written, over all its files."""
    from wandb.proto.wandb_internal_pb2 import Record

    steps: dict[str, list[int]] = {}
    for path in sorted(folder.glob("wandb/offline-run-*/run-*.wandb")):
        run = steps.setdefault(path.stem.removeprefix("run-"), [])
        records = map(Record.FromString, _records(path.read_bytes()))
        run += [record.history.step.num for record in records if record.HasField("history")]
    return steps


def _records(content: bytes) -> Iterator[bytes]:
    """Records of a file in LevelDB's log format: pieces with a checksum, a length and a kind, in blocks."""
    at, record = FILE_HEADER_BYTES, b""
    while at + HEADER_BYTES <= len(content):
        left = BLOCK_BYTES - at % BLOCK_BYTES
        if left < HEADER_BYTES:
            at += left
            continue
        length, kind = struct.unpack_from("<HB", content, at + 4)
        record += content[at + HEADER_BYTES : at + HEADER_BYTES + length]
        at += HEADER_BYTES + length
        if kind in (FULL, LAST):
            yield record
            record = b""
