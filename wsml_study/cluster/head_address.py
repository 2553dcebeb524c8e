"""Checks the address of a running cluster's head before Ray connects to it.

Ray retries an address that refuses connections for seven minutes. It also replaces a loopback address by the machine's
network address, where a cluster that listens only on loopback does not answer.
"""

from __future__ import annotations

import socket

from wsml_study.cluster.ray_internals import canonicalize_bootstrap_address_or_die, parse_address
from wsml_study.errors import ResourcesError

CONNECT_S = 5.0
LOOPBACK = "127.0.0.1"


def listens_on_loopback_only(address: str) -> bool:
    """Whether the cluster at an address answers only on this machine's loopback interface.

    Args:
        address: host:port of the head, or auto.

    Raises:
        ResourcesError: nothing listens there, or it is not such an address.
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
    error_message = _connection_error(host, port)
    if error_message is None:
        return False
    if (
        canonicalize_bootstrap_address_or_die(f"{LOOPBACK}:{port}") == found
        and _connection_error(LOOPBACK, port) is None
    ):
        return True
    raise ResourcesError(
        f"--address: no Ray cluster answers at {address!r}: {error_message}; `ray up cluster.yaml` starts one, and "
        f"without --address (and RAY_ADDRESS) the study runs on this machine"
    )


def _connection_error(host: str, port: str) -> str | None:
    """Why a TCP connection fails; None if it succeeds."""
    try:
        socket.create_connection((host, port), timeout=CONNECT_S).close()
    except (OSError, ValueError, OverflowError) as error:
        return getattr(error, "strerror", None) or str(error)
    return None
