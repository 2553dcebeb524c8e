"""Where the head of a running cluster listens, found out before Ray connects to it.

Ray itself tries an address at which nobody listens for seven minutes. It also replaces a loopback address by the
machine's address in its network, where a cluster that keeps to loopback is not to be found.
"""

from __future__ import annotations

import socket

from wsml_study.cluster.ray_internals import canonicalize_bootstrap_address_or_die, parse_address
from wsml_study.errors import ResourcesError

CONNECT_S = 5.0
LOOPBACK = "127.0.0.1"


def keeps_to_loopback(address: str) -> bool:
    """Whether the cluster at an address is reached over this machine's loopback interface alone.

    Args:
        address: host:port of the head, or auto.

    Raises:
        ResourcesError: nobody listens there, or it is no such address.
    """
    if "://" in address:
        raise ResourcesError(
            f"--address: expected HEAD:6379 or auto, got {address!r}; a dashboard's address is for `wsml-study submit`"
        )
    try:
        found = canonicalize_bootstrap_address_or_die(address)
    except (ConnectionError, ValueError) as error:
        raise ResourcesError(
            f"--address: no Ray cluster is at {address!r}: {error}; expected HEAD:6379, or nothing for a local Ray"
        ) from error
    host, port = parse_address(found) or (found, "")
    refused = _refusal(host, port)
    if refused is None:
        return False
    if canonicalize_bootstrap_address_or_die(f"{LOOPBACK}:{port}") == found and _refusal(LOOPBACK, port) is None:
        return True
    raise ResourcesError(
        f"--address: no Ray cluster answers at {address!r}: {refused}; `ray up cluster.yaml` starts one, and without "
        f"--address (and RAY_ADDRESS) the study runs on this machine"
    )


def _refusal(host: str, port: str) -> str | None:
    """Why a connection cannot be made; None if it can."""
    try:
        socket.create_connection((host, port), timeout=CONNECT_S).close()
    except (OSError, ValueError, OverflowError) as error:
        return getattr(error, "strerror", None) or str(error)
    return None
