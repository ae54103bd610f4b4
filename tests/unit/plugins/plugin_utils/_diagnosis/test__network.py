# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What else stands between nginx and a TCP endpoint."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.sre.bad_gateway.plugins.plugin_utils._run_directory import HostRecord
from ansible_collections.sre.bad_gateway.tests.unit.plugins.plugin_utils._diagnosis._builders import (
    SSHD,
    endpoint,
    host_capacity,
    listener,
    network,
    nginx,
    probe,
    route,
    unreachable,
)
from ansible_collections.sre.bad_gateway.tests.unit.plugins.plugin_utils._diagnosis._scenes import (
    TCP,
    back,
    front,
    named,
    only,
    shown,
    site,
)

SIX = "tcp:[::1]:8000"
PORTS = {"net.ipv4.ip_local_port_range": "40000 40009", "net.core.somaxconn": "4096"}


def failing(outcome: str, *, key: str = TCP, **changes: Any) -> HostRecord:
    values: dict[str, Any] = {
        "instances": [nginx(route(key))],
        "probes": [probe(key, outcome, **changes.pop("shown", {}))],
    }
    return site(key, **{**values, **changes})


def connections(**counts: int) -> dict[str, Any]:
    none = {"established": 0, "syn_sent": 0, "time_wait": 0, "close_wait": 0}
    return {"address": "127.0.0.1:8000", **none, **counts}


def path(**changes: Any) -> dict[str, Any]:
    values = {"address": "10.0.0.2", "reachable": True, "why": "", "interface": "eth0", "neighbour": "reachable"}
    return {"network": network(paths=[{**values, **changes}])}


def denial(target: str = "8000", permission: str = "name_connect") -> dict[str, Any]:
    return {
        "module": "selinux",
        "process": "nginx",
        "permission": permission,
        "target": target,
        "count": 3,
        "last": "",
        "sample": "avc: denied { name_connect }",
    }


NO_ADDRESS = {"errno": 99, "detail": "Cannot assign requested address"}
DENIED = {"errno": 13}
FULL = [SSHD, listener(TCP, queued=65, backlog=64)]
TRACKED = network(conntrack_count=65536, conntrack_max=65536)
NO_IPV6 = network(sysctls={"net.ipv6.conf.all.disable_ipv6": "1", "net.ipv6.conf.lo.disable_ipv6": "0"})

CASES: dict[str, tuple[list[HostRecord], str, str, str]] = {
    # -- the hosts; the cause, its host, how sure
    "no port left": (
        [failing("error", shown=NO_ADDRESS, network=network(sysctls=PORTS, connections=[connections(time_wait=9)]))],
        "ephemeral_ports_exhausted",
        "web1",
        "certain",
    ),
    "no port left, nobody counted": (
        [failing("error", shown=NO_ADDRESS)],
        "ephemeral_ports_exhausted",
        "web1",
        "likely",
    ),
    "no port left, and few connections are seen": (
        [failing("error", shown=NO_ADDRESS, network=network(sysctls=PORTS, connections=[connections(established=3)]))],
        "ephemeral_ports_exhausted",
        "web1",
        "likely",
    ),
    "no IPv6": ([failing("error", key=SIX, shown=NO_ADDRESS, network=NO_IPV6)], "ipv6_unavailable", "web1", "certain"),
    "no IPv6, and no way to it": (
        [failing("unreachable", key=SIX, shown={"errno": 101}, network=NO_IPV6)],
        "ipv6_unavailable",
        "web1",
        "certain",
    ),
    "SELinux, as its log says": (
        [failing("denied", capacity=host_capacity(selinux="enforcing", denials=[denial()]))],
        "selinux_tcp_denied",
        "web1",
        "certain",
    ),
    "SELinux, its log not read": (
        [failing("denied", capacity=host_capacity(selinux="enforcing"))],
        "selinux_tcp_denied",
        "web1",
        "likely",
    ),
    "denied without SELinux": ([failing("denied")], "endpoint_not_answering", "web1", "possible"),
    "a denial of another port": (
        [failing("denied", capacity=host_capacity(selinux="permissive", denials=[denial("9000")]))],
        "endpoint_not_answering",
        "web1",
        "possible",
    ),
    "queue full": ([failing("timeout", listeners=FULL)], "tcp_backlog_overflow", "web1", "certain"),
    "queue full, and the kernel says so with a reset": (
        [failing("reset", listeners=FULL)],
        "tcp_backlog_overflow",
        "web1",
        "certain",
    ),
    "queue full of another host's app": (
        [front("timeout"), back(listeners=[SSHD, listener("tcp:0.0.0.0:8000", queued=3, backlog=2)])],
        "tcp_backlog_overflow",
        "app1",
        "certain",
    ),
    "queue not full": (
        [front("timeout"), back(listeners=[SSHD, listener("tcp:0.0.0.0:8000", queued=1, backlog=2)])],
        "firewall_drop",
        "web1",
        "possible",
    ),
    "table of connections full": ([failing("timeout", network=TRACKED)], "conntrack_full", "web1", "certain"),
    "table of connections of the app's host full": (
        [front("timeout"), back(network=TRACKED)],
        "conntrack_full",
        "app1",
        "certain",
    ),
    "table of connections nearly empty": (
        [failing("timeout", network=network(conntrack_count=10, conntrack_max=65536))],
        "endpoint_not_answering",
        "web1",
        "possible",
    ),
    "no route": (
        [front("unreachable", **path(reachable=False, why="No route to host")), back()],
        "upstream_host_unreachable",
        "web1",
        "certain",
    ),
    "unreachable, nobody knows why": ([front("unreachable"), back()], "upstream_host_unreachable", "web1", "likely"),
    "a neighbour that does not answer": (
        [front("timeout", **path(neighbour="failed"))],
        "upstream_host_unreachable",
        "web1",
        "likely",
    ),
    "a host that is down": ([front("timeout"), unreachable("app1")], "upstream_host_unreachable", "web1", "likely"),
    "a host of which nothing is known": ([front("timeout")], "endpoint_not_answering", "web1", "possible"),
    "a route that prohibits": (
        [front("denied", **path(reachable=False, why="Permission denied")), back()],
        "upstream_host_unreachable",
        "web1",
        "certain",
    ),
}


@pytest.mark.parametrize(("records", "cause", "host", "confidence"), CASES.values(), ids=CASES)
def test_what_stands_in_the_way(records: list[HostRecord], cause: str, host: str, confidence: str) -> None:
    finding = only(*records)
    assert (finding.cause, finding.host, finding.confidence) == (cause, host, confidence)
    assert finding.fix is None or not finding.fix.automatic


def test_the_ports_are_counted() -> None:
    table = network(sysctls=PORTS, connections=[connections(established=1, time_wait=8)])
    text = shown(only(failing("error", shown=NO_ADDRESS, network=table)))
    assert "9 connections to 127.0.0.1:8000 (8 in TIME-WAIT), of 10 local ports (40000-40009)" in text


def test_what_switches_ipv6_off_is_shown() -> None:
    record = failing("error", key=SIX, shown=NO_ADDRESS, network=NO_IPV6, info={"addresses": ["127.0.0.1", "10.0.0.1"]})
    text = shown(only(record))
    assert "net.ipv6.conf.all.disable_ipv6 is 1" in text
    assert "the loopback interface has no ::1" in text


def test_a_full_table_is_one_finding_for_all_that_suffer() -> None:
    other = "tcp:127.0.0.1:9000"
    record = failing(
        "timeout",
        instances=[nginx(route(), route(other, location="/b", line=20))],
        probes=[probe(TCP, "timeout"), probe(other, "timeout")],
        network=TRACKED,
    )
    assert len(only(record).routes) == 2


def test_queue_and_overflows_are_shown() -> None:
    record = failing("timeout", listeners=FULL, network=network(listen_overflows=12, listen_overflows_while_looking=2))
    text = shown(only(record))
    assert "65 connections wait there to be accepted, 64 may" in text
    assert "12 connections were dropped at full queues since boot, 2 of them while this was looked at" in text


def test_the_address_that_failed_counts_and_not_the_name() -> None:
    key = "tcp:app:8000"
    record = site(
        instances=[nginx(route(key))],
        endpoints=[endpoint(key, addresses=["fd00::2"])],
        probes=[probe(key, "error", address="[fd00::2]:8000", **NO_ADDRESS)],
        apps=[],
        units=[],
    )
    assert named(record) == [("ipv6_unavailable", "web1", "outage")]


def test_a_missing_route_does_not_keep_an_answer_back() -> None:
    record = failing("timeout", shown={"phase": "read"}, **path(address="127.0.0.1", reachable=False))
    assert "upstream_host_unreachable" not in [cause for cause, _host, _severity in named(record)]
