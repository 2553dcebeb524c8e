"""How long a thread of OpenMP spins while it waits for others; set before torch is loaded, which is when it is read."""

from __future__ import annotations

from collections.abc import MutableMapping

SPIN_COUNT = "1000"
"""Turns of libgomp's waiting loop before a thread sleeps, some 50 microseconds; its own default is 300,000.

Enough for the pause between two operations of a network. A thread that spins longer takes the core from the one that it
waits for, wherever another program or another slot runs beside: `benchmarks/busy_neighbour.py`.
"""

DECIDED_BY = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
"""Variables by which a user decides it; theirs are left as they are."""


def limit_spinning(environ: MutableMapping[str, str]) -> None:
    """Set the spin count in an environment where the user has not; processes that it starts inherit it.

    >>> limit_spinning(environ := {})
    >>> environ
    {'GOMP_SPINCOUNT': '1000'}
    """
    if not any(name in environ for name in DECIDED_BY):
        environ["GOMP_SPINCOUNT"] = SPIN_COUNT
