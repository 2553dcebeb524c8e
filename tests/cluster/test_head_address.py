"""Whether a cluster answers at an address, and on which interface."""

from __future__ import annotations

import socket

import pytest
from ray.util import get_node_ip_address

from wsml_study.cluster.head_address import CONNECT_S, LOOPBACK, listens_on_loopback_only
from wsml_study.errors import ResourcesError


@pytest.fixture
def listener():
    with socket.socket() as listening:
        yield listening


def port_of(listener: socket.socket, interface: str) -> int:
    listener.bind((interface, 0))
    listener.listen()
    return listener.getsockname()[1]


@pytest.mark.skipif(get_node_ip_address() == LOOPBACK, reason="needs a network interface beside loopback")
def test_a_cluster_on_loopback_is_told_from_one_in_the_network(listener: socket.socket) -> None:
    assert listens_on_loopback_only(f"{LOOPBACK}:{port_of(listener, LOOPBACK)}")


def test_a_cluster_in_the_network_is_reached_there(listener: socket.socket) -> None:
    port = port_of(listener, "0.0.0.0")
    assert not listens_on_loopback_only(f"{LOOPBACK}:{port}")
    assert not listens_on_loopback_only(f"{get_node_ip_address()}:{port}")


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("127.0.0.1:1", "no Ray cluster answers at '127.0.0.1:1': Connection refused; `ray up cluster.yaml`"),
        ("nowhere.invalid:6379", "no Ray cluster answers at 'nowhere.invalid:6379'"),
        ("http://head:8265", "expected HEAD:6379 or auto, got 'http://head:8265'; a dashboard's address is for"),
        ("head", "no Ray cluster is at 'head'"),
    ],
)
def test_an_address_without_a_cluster_is_tried_once_per_interface(
    address: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ray itself would try again for minutes."""
    connect = socket.create_connection
    timeouts: list[float] = []

    def counted(place: tuple[str, str], timeout: float) -> socket.socket:
        timeouts.append(timeout)
        return connect(place, timeout=timeout)

    monkeypatch.setattr(socket, "create_connection", counted)
    with pytest.raises(ResourcesError) as raised:
        listens_on_loopback_only(address)
    assert message in str(raised.value)
    assert timeouts == [CONNECT_S] * len(timeouts)
    assert len(timeouts) <= 2, "the network's interface and loopback"
