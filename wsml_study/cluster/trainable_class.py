"""Ray Tune looks its trainable up in the cluster's key-value store once per run, not several times per trial."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from wsml_study.cluster.ray_internals import trial


@contextmanager
def trainable_read_once() -> Iterator[None]:
    """During the block, which runs one trainable, a lookup of the same name is answered from memory.

    Tune asks the store, and unpickles what it answers, when a trial is created and again when its slot starts it.
    """
    original = trial.get_trainable_cls
    trial.get_trainable_cls = cache(original)
    try:
        yield
    finally:
        trial.get_trainable_cls = original
