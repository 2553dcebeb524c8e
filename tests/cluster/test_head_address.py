"""Whether somebody listens where a cluster is said to be, and on which interface."""

from __future__ import annotations

import socket
import time

import pytest
from ray.util import get_node_ip_address

from wsml_study.cluster.head_address import LOOPBACK, keeps_to_loopback
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
    assert keeps_to_loopback(f"{LOOPBACK}:{port_of(listener, LOOPBACK)}")


def test_a_cluster_in_the_network_is_reached_there(listener: socket.socket) -> None:
    port = port_of(listener, "0.0.0.0")
    assert not keeps_to_loopback(f"{LOOPBACK}:{port}")
    assert not keeps_to_loopback(f"{get_node_ip_address()}:{port}")


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("127.0.0.1:1", "no Ray cluster answers at '127.0.0.1:1': Connection refused; `ray up cluster.yaml`"),
        ("nowhere.invalid:6379", "no Ray cluster answers at 'nowhere.invalid:6379'"),
        ("http://head:8265", "expected HEAD:6379 or auto, got 'http://head:8265'; a dashboard's address is for"),
        ("head", "no Ray cluster is at 'head'"),
    ],
)
def test_where_nobody_listens_there_is_no_cluster(address: str, message: str) -> None:
    started = time.monotonic()
    with pytest.raises(ResourcesError) as raised:
        keeps_to_loopback(address)
    assert message in str(raised.value)
    assert time.monotonic() - started < 30, "Ray itself takes minutes"
