import errno
import socket

import pytest

from launcher.local_ports import HeldPorts, PortTakenError


def port_of(address: str) -> int:
    return int(address.rpartition(":")[2])


def test_a_server_that_reuses_addresses_can_listen_on_a_held_port() -> None:
    with HeldPorts(2) as ports:
        for address in ports.addresses:
            # As TensorFlow's server does: all interfaces, IPv4 and IPv6 in one socket.
            with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as server:
                server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
                server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                server.bind(("::", port_of(address)))
                server.listen()
                socket.create_connection(("127.0.0.1", port_of(address)), timeout=5).close()


def test_a_held_port_is_refused_to_one_that_does_not_reuse() -> None:
    with HeldPorts(1) as ports, socket.socket() as other:
        with pytest.raises(OSError, match="in use") as raised:
            other.bind(("127.0.0.1", port_of(ports.addresses[0])))
        assert raised.value.errno == errno.EADDRINUSE


def test_ports_differ() -> None:
    with HeldPorts(20) as ports:
        assert len(set(ports.addresses)) == 20


def test_a_port_that_is_taken_and_one_that_does_not_exist_are_told_apart() -> None:
    with HeldPorts(1) as ports:
        taken = port_of(ports.addresses[0])
        with socket.create_server(("127.0.0.1", taken)), pytest.raises(PortTakenError, match="is taken"):
            HeldPorts(0, [taken])
    with pytest.raises(PortTakenError, match="there is no port 65536, the last one is 65535"):
        HeldPorts(0, [65536])
