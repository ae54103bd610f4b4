# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Messages of the kernel: recorded ones as bytes, and the kernel at hand."""

from __future__ import annotations

import os
import socket
import struct
from pathlib import Path

import pytest

from ansible_collections.sre.bad_gateway.plugins.module_utils._observe import _netlink

ADDRESS = struct.pack("=BBBBI", 2, 8, 0x80, 254, 1)  # ifaddrmsg of an IPv4 address
LOCAL = struct.pack("=HH4s", 8, 2, bytes([192, 0, 2, 7]))
PEER = struct.pack("=HH4s", 8, 1, bytes([192, 0, 2, 1]))


@pytest.mark.parametrize(
    ("attributes", "address"),
    [
        pytest.param(PEER + LOCAL, "192.0.2.7", id="point to point: ours, not the peer's"),
        pytest.param(PEER, "192.0.2.1", id="no IFA_LOCAL"),
    ],
)
def test_an_address_message_is_read(attributes: bytes, address: str) -> None:
    assert _netlink.parse_address(ADDRESS + attributes) == address


def test_messages_are_cut_at_their_padded_lengths() -> None:
    data = struct.pack("=IHHII", 17, 20, 2, 1, 0) + b"a\0\0\0" + struct.pack("=IHHII", 16, 3, 2, 1, 0)
    assert list(_netlink.messages(data)) == [(20, b"a"), (3, b"")]


def test_attributes_that_are_cut_off_do_not_hang() -> None:
    assert _netlink.attributes(struct.pack("=HH", 0, 4)) == {}


def test_this_host_has_its_loopback_address() -> None:
    assert "127.0.0.1" in _netlink.interface_addresses()


def test_backlog_and_queue_of_a_tcp_listener() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=7) as listener, socket.create_connection(
        listener.getsockname()
    ):
        assert _netlink.tcp_queues()[os.fstat(listener.fileno()).st_ino] == _netlink.Queue(queued=1, backlog=7)


def test_backlog_and_queue_of_a_unix_listener(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as client:
        listener.bind(str(tmp_path / "s"))
        listener.listen(3)
        client.connect(str(tmp_path / "s"))
        expected = _netlink.Queue(queued=1, backlog=3, file=(tmp_path / "s").stat().st_ino & 0xFFFFFFFF)
        assert _netlink.unix_queues()[os.fstat(listener.fileno()).st_ino] == expected
