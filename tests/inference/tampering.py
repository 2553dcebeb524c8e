"""Ways to damage a file of a model folder at random."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable
from pathlib import Path

VALUES = (
    7,
    -5,
    1.5,
    10**9,
    10**400,
    "abc",
    None,
    True,
    [],
    {},
    [[]],
    [1, 2],
    ["a", "a"],
    [""],
    {"features": "x"},
    "[" * 9,
)
"""What a file, or a key of it, may hold that it should not."""

Tamper = Callable[[Path, random.Random], None]


def cut(path: Path, chance: random.Random) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: chance.randrange(len(content))])


def flip(path: Path, chance: random.Random) -> None:
    content = bytearray(path.read_bytes())
    for _ in range(chance.choice([1, 5, 50])):
        content[chance.randrange(min(len(content), chance.choice([8, 500, len(content)])))] ^= 1 << chance.randrange(8)
    path.write_bytes(content)


def replace_by_folder(path: Path, chance: random.Random) -> None:
    path.unlink()
    path.mkdir()


def replace_by_fifo(path: Path, chance: random.Random) -> None:
    path.unlink()
    os.mkfifo(path)


def replace_by_bytes(path: Path, chance: random.Random) -> None:
    path.write_bytes(chance.randbytes(chance.choice([0, 1, 7, 8, 9, 5_000])))


def replace_by_value(path: Path, chance: random.Random) -> None:
    path.write_text(json.dumps(chance.choice(VALUES)))


def drop_or_change_a_key(path: Path, chance: random.Random) -> None:
    if path.suffix != ".json":
        lines = path.read_bytes().split(b"\n")
        del lines[chance.randrange(len(lines))]
        path.write_bytes(b"\n".join(lines))
        return
    content = json.loads(path.read_text())
    place = chance.choice(list(content)) if isinstance(content, dict) else chance.randrange(len(content))
    if chance.random() < 0.5:
        del content[place]
    else:
        content[place] = chance.choice(VALUES)
    path.write_text(json.dumps(content))


TAMPERINGS: tuple[Tamper, ...] = (
    cut,
    flip,
    replace_by_folder,
    replace_by_fifo,
    replace_by_bytes,
    replace_by_value,
    drop_or_change_a_key,
)
