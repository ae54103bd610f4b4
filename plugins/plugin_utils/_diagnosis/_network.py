# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The way to a TCP endpoint: routes, ports of one's own, tables and queues of the kernel, and what SELinux permits."""

from __future__ import annotations

from typing import Iterator, Sequence

from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import Connections, NetworkPath
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis import _journals
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._evidence import units_evidence
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._explain import explain
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._failures import (
    Explanation,
    Failure,
    places,
)
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._fleet import Fleet
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._model import Evidence
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._queues import is_full, queue_evidence

_EADDRNOTAVAIL = 99
_ENETUNREACH = 101

#: Of the kernel's table of connections: from here on it may have been full a moment ago.
_CONNTRACK_FULL = 0.98

#: What the kernel says then.
CONNTRACK_LINES = ("conntrack_table_full",)

#: Of the local ports towards one address and port: from here on the next connection may find none.
_PORTS_USED = 0.9


def conntrack_full(fleet: Fleet, remaining: Sequence[Failure]) -> list[Explanation]:
    """A host's table of tracked connections takes no new one."""
    hosts: dict[str, list[Failure]] = {}
    for failure in (each for each in remaining if each.is_unanswered_connect):
        ends = dict.fromkeys([*(place.host for place in places(fleet, failure)), failure.host])
        host = next((each for each in ends if conntrack_evidence(fleet, each)), None)
        if host is not None:
            hosts.setdefault(host, []).append(failure)
    return [
        explain(
            fleet,
            "conntrack_full",
            failures,
            host=host,
            subject="conntrack",
            evidence=conntrack_evidence(fleet, host),
        )
        for host, failures in sorted(hosts.items())
    ]


def tcp_backlog_overflow(fleet: Fleet, remaining: Sequence[Failure]) -> list[Explanation]:
    """The app server does not accept, its queue is full, and the kernel drops what comes."""
    return [
        explain(
            fleet,
            "tcp_backlog_overflow",
            [failure],
            host=place.host,
            evidence=[
                *queue_evidence(fleet, place),
                *overflow_evidence(fleet, place.host),
                *units_evidence(fleet, place.host, {each["unit"] for each in listening if each["unit"]}),
            ],
        )
        for failure in remaining
        if failure.is_unanswered_connect or failure.outcome == "reset"
        for place in places(fleet, failure)[:1]
        for listening in [fleet.listeners(place)]
        if listening and any(is_full(each) for each in listening)
    ]


def ipv6_unavailable(fleet: Fleet, remaining: Sequence[Failure]) -> list[Explanation]:
    """nginx is told to use IPv6 on a host that has none."""
    found = []
    for failure in remaining:
        address = tried(failure)
        if ":" in address and failure.errno in (_EADDRNOTAVAIL, _ENETUNREACH):
            evidence = ipv6_evidence(fleet, failure.host, address)
            if failure.errno == _EADDRNOTAVAIL or evidence:
                found.append(explain(fleet, "ipv6_unavailable", [failure], host=failure.host, evidence=evidence))
    return found


def ephemeral_ports_exhausted(fleet: Fleet, remaining: Sequence[Failure]) -> list[Explanation]:
    """No local port is left for one more connection to that address and port."""
    found = []
    for failure in remaining:
        address = tried(failure)
        if failure.errno == _EADDRNOTAVAIL and address and ":" not in address:
            evidence = ports_evidence(fleet, failure.host, [f"{address}:{failure.endpoint['port']}"])
            found.append(
                explain(
                    fleet,
                    "ephemeral_ports_exhausted",
                    [failure],
                    host=failure.host,
                    confidence=None if evidence else "likely",
                    evidence=evidence,
                )
            )
    return found


def selinux_tcp_denied(fleet: Fleet, remaining: Sequence[Failure]) -> list[Explanation]:
    """SELinux does not let nginx connect to that port."""
    found = []
    for failure in remaining:
        capacity = fleet.observations[failure.host]["capacity"]
        if failure.endpoint["transport"] != "tcp" or failure.outcome != "denied":
            continue
        told = [
            Evidence(
                kind="journal",
                text=f"{each['count']} x {each['module']} denied {each['permission']} to {each['process']}: "
                f"{each['sample']}",
                source=failure.host,
            )
            for each in capacity["denials"]
            if each["permission"] == "name_connect" and each["target"] in ("", str(failure.endpoint["port"]))
        ]
        if told or capacity["selinux"] == "enforcing":
            text = "SELinux is enforcing, and what it denied could not be read"
            guess = [Evidence(kind="capacity", text=text, source=failure.host)]
            found.append(
                explain(
                    fleet,
                    "selinux_tcp_denied",
                    [failure],
                    host=failure.host,
                    confidence=None if told else "likely",
                    evidence=told or guess,
                )
            )
    return found


def upstream_host_unreachable(fleet: Fleet, remaining: Sequence[Failure]) -> list[Explanation]:
    """No way leads to the endpoint's host, or nobody there is up."""
    found = []
    for failure in remaining:
        if failure.endpoint["transport"] != "tcp" or not failure.is_at_connect:
            continue
        evidence = list(_path_evidence(fleet, failure)) + _host_is_down(fleet, failure)
        told = failure.outcome == "unreachable" or (failure.outcome == "denied" and _no_path(fleet, failure))
        if told or (failure.outcome == "timeout" and evidence):
            found.append(
                explain(
                    fleet,
                    "upstream_host_unreachable",
                    [failure],
                    host=failure.host,
                    confidence=None if told and evidence else "likely",
                    evidence=evidence,
                )
            )
    return found


def tried(failure: Failure) -> str:
    """The address that was tried, without its port and brackets."""
    if failure.endpoint["transport"] != "tcp" or failure.probe is None:
        return ""
    address = failure.probe["address"].rpartition(":")[0].strip("[]")
    known = failure.endpoint["addresses"]
    return address if address in known or not known else known[0]


def ipv6_evidence(fleet: Fleet, host: str, address: str) -> list[Evidence]:
    """What shows that a host has no IPv6, or none that leads to `address`."""
    observation = fleet.observations[host]
    off = {name: value for name, value in observation["network"]["sysctls"].items() if "disable_ipv6" in name}
    shown = [f"{name} is 1" for name, value in sorted(off.items()) if value == "1"]
    if address == "::1" and "::1" not in observation["host"]["addresses"]:
        shown.append("the loopback interface has no ::1")
    if not any(
        ":" in each and not each.startswith("fe80") and each != "::1" for each in observation["host"]["addresses"]
    ):
        shown.append("no interface has an IPv6 address of its own")
    return [Evidence(kind="network", text=text, source=host) for text in shown]


def ports_evidence(fleet: Fleet, host: str, ends: Sequence[str]) -> list[Evidence]:
    """How many of the local ports are in use towards these addresses, where it is nearly all of them."""
    network = fleet.observations[host]["network"]
    ports = network["sysctls"].get("net.ipv4.ip_local_port_range", "").split()
    if len(ports) != 2:
        return []
    width = int(ports[1]) - int(ports[0]) + 1
    return [
        Evidence(
            kind="network",
            text=f"{_all(each)} connections to {each['address']} ({each['time_wait']} in TIME-WAIT), of {width} local "
            f"ports ({'-'.join(ports)})",
            source=host,
        )
        for each in network["connections"]
        if each["address"] in ends and _all(each) >= width * _PORTS_USED
    ]


def conntrack_evidence(fleet: Fleet, host: str) -> list[Evidence]:
    network = fleet.observations[host]["network"]
    count, most = network["conntrack_count"], network["conntrack_max"]
    said = _journals.events(fleet, host, _journals.KERNEL, CONNTRACK_LINES)
    shown = _journals.journal_evidence(host, _journals.KERNEL, said)
    if count is not None and most and count >= most * _CONNTRACK_FULL:
        text = f"{count} connections are tracked, of at most {most} (net.netfilter.nf_conntrack_max)"
        return [Evidence(kind="network", text=text, source=host), *shown]
    return []


def overflow_evidence(fleet: Fleet, host: str) -> list[Evidence]:
    network = fleet.observations[host]["network"]
    if not network["listen_overflows"]:
        return []
    now = network["listen_overflows_while_looking"]
    during = f", {now} of them while this was looked at" if now else ""
    text = f"{network['listen_overflows']} connections were dropped at full queues since boot{during}"
    return [Evidence(kind="network", text=text, source=host)]


def _all(connections: Connections) -> int:
    return sum(connections[state] for state in ("established", "syn_sent", "time_wait", "close_wait"))


def _paths(fleet: Fleet, failure: Failure) -> list[NetworkPath]:
    addresses = failure.endpoint["addresses"]
    return [each for each in fleet.observations[failure.host]["network"]["paths"] if each["address"] in addresses]


def _no_path(fleet: Fleet, failure: Failure) -> bool:
    return any(not each["reachable"] for each in _paths(fleet, failure))


def _path_evidence(fleet: Fleet, failure: Failure) -> Iterator[Evidence]:
    for each in _paths(fleet, failure):
        if not each["reachable"]:
            yield Evidence(kind="network", text=f"no route to {each['address']}: {each['why']}", source=failure.host)
        elif each["neighbour"] in ("failed", "incomplete"):
            text = f"{each['address']} is on the network of {each['interface']}, but nobody there answers for it"
            yield Evidence(kind="network", text=f"{text} (neighbour {each['neighbour']})", source=failure.host)


def _host_is_down(fleet: Fleet, failure: Failure) -> list[Evidence]:
    """The endpoint's host is in the inventory, and Ansible did not reach it either."""
    record = fleet.unseen_host(failure.endpoint)
    if record is None or record.status != "unreachable":
        return []
    text = f"{record.host} could not be reached over SSH either ({record.reason})"
    return [Evidence(kind="network", text=text, source=record.host)]
