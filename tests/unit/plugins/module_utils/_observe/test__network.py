# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Routes, connections and limits, recorded and of the host at hand."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import Endpoint
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._filter_rules import filter_rules, packets
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._filter_tables import Filters
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._iptables import parse_save
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._network import (
    encode_address,
    listen_overflows,
    read_connections,
    read_network,
    read_paths,
    read_sysctls,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._shared import Notes

NETSTAT = "TcpExt: SyncookiesSent ListenOverflows ListenDrops\nTcpExt: 1 7 8\nIpExt: InOctets\nIpExt: 9\n"
TCP = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:B2C4 0100007F:1F40 01 00000000:00000000 00:00000000 00000000 0 0 1
   1: 0100007F:B2C5 0100007F:1F40 06 00000000:00000000 00:00000000 00000000 0 0 0
   2: 0100007F:1F40 0100007F:B2C4 01 00000000:00000000 00:00000000 00000000 0 0 2
   3: 0100007F:B2C6 0100007F:1F41 01 00000000:00000000 00:00000000 00000000 0 0 3
"""


def endpoint(key: str, *addresses: str) -> Endpoint:
    host, port = key[4:].rsplit(":", 1)
    return Endpoint(
        key=key,
        transport="tcp",
        host=host,
        port=int(port),
        path=None,
        protocol="http",
        addresses=list(addresses),
        resolve_error=None,
        written_at=[],
    )


@pytest.mark.parametrize(
    ("address", "text"),
    [("127.0.0.1", "0100007F:1F40"), ("::1", "00000000000000000000000001000000:1F40")],
)
def test_addresses_as_the_kernel_prints_them(address: str, text: str) -> None:
    assert encode_address(address, 8000) == text


def test_connections_to_an_endpoint_are_counted_by_state(tmp_path: Path) -> None:
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "tcp").write_text(TCP)
    (found,) = read_connections([("127.0.0.1", 8000), ("10.0.0.9", 1)], notes=Notes(), proc=tmp_path)
    assert (found["address"], found["established"], found["time_wait"], found["syn_sent"]) == (
        "127.0.0.1:8000",
        1,
        1,
        0,
    )


def test_overflows_and_sysctls(tmp_path: Path) -> None:
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "netstat").write_text(NETSTAT)
    ports = tmp_path / "sys/net/ipv4/ip_local_port_range"
    ports.parent.mkdir(parents=True)
    ports.write_text("32768\t60999\n")
    assert listen_overflows(notes=Notes(), proc=tmp_path) == 7
    assert read_sysctls(proc=tmp_path) == {"net.ipv4.ip_local_port_range": "32768 60999"}


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    notes = Notes()
    assert listen_overflows(notes=notes, proc=tmp_path) is None
    assert read_connections([("127.0.0.1", 1)], notes=notes, proc=tmp_path) == []
    assert [entry["why"] for entry in notes.entries] == ["No such file or directory"] * 2


def test_a_route_is_looked_up() -> None:
    (path,) = read_paths(["127.0.0.9"], notes=Notes())
    assert (path["reachable"], path["interface"]) == (True, "lo")


@pytest.mark.parametrize(
    ("key", "addresses", "hooks"),
    [
        ("tcp:127.0.0.1:80", ["127.0.0.1"], [("output", "lo"), ("input", "lo")]),
        ("tcp:10.0.0.1:80", ["10.0.0.1"], [("output", "lo"), ("input", "lo"), ("input", "")]),
        ("tcp:10.0.0.2:80", ["10.0.0.2"], [("output", "")]),
        ("tcp:0.0.0.0:80", ["127.0.0.1"], [("output", "lo"), ("input", "lo"), ("input", "")]),
    ],
)
def test_the_packets_that_matter(key: str, addresses: list[str], hooks: list[tuple[str, str]]) -> None:
    found = list(packets(endpoint(key, *addresses), own={"10.0.0.1"}, uids=[33]))
    assert [(one.hook, one.interface) for one in found] == hooks


def test_one_rule_names_every_endpoint_that_it_hits() -> None:
    save = "*filter\n:OUTPUT ACCEPT [0:0]\n[4:240] -A OUTPUT -p tcp -m multiport --dports 80,81 -j DROP\nCOMMIT\n"
    ends = [endpoint("tcp:127.0.0.1:80", "127.0.0.1"), endpoint("tcp:127.0.0.1:81", "127.0.0.1")]
    (rule,) = filter_rules(ends, Filters(parse_save(save, tool="iptables")), own=set(), uids=[33])
    assert (rule["where"], rule["endpoints"]) == ("ip filter OUTPUT", ["tcp:127.0.0.1:80", "tcp:127.0.0.1:81"])
    assert (rule["verdict"], rule["certain"], rule["packets"]) == ("drop", True, 4)


def test_this_host() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()):
        port = listener.getsockname()[1]
        one = endpoint(f"tcp:127.0.0.1:{port}", "127.0.0.1")
        found = read_network([one], own=["127.0.0.1"], uids=[], overflows_before=0, notes=Notes())
    assert [(each["address"], each["established"]) for each in found["connections"]] == [(f"127.0.0.1:{port}", 1)]
    assert "net.core.somaxconn" in found["sysctls"]
    assert found["paths"] == []
