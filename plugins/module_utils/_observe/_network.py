# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What lies between nginx and its endpoints: packet filters, routes, connections, limits of the kernel."""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ansible_collections.sre.bad_gateway.plugins.module_utils._observe import _netlink
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._filters_found import find_filters
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._host import is_local
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._shared import Notes, reason

if TYPE_CHECKING:
    from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import (
        Connections,
        Endpoint,
        FilterRule,
        Network,
        NetworkPath,
    )

_PROC = Path("/proc")
_SYSCTLS = (
    "net.core.somaxconn",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_abort_on_overflow",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_max_syn_backlog",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.tcp_tw_reuse",
    "net.ipv6.conf.all.disable_ipv6",
    "net.ipv6.conf.default.disable_ipv6",
    "net.ipv6.conf.lo.disable_ipv6",
)
_STATES = {"01": "established", "02": "syn_sent", "06": "time_wait", "08": "close_wait"}
_ROUTE_ERRORS = {errno.EINVAL: "a blackhole route", errno.EACCES: "a prohibit route", errno.ENETUNREACH: "no route"}
_MOST_LINES = 200_000
_MOST_PATHS = 256
_WORD = struct.Struct("=I")


def read_sysctls(*, proc: Path = _PROC) -> dict[str, str]:
    """Those that exist; a kernel without IPv6 has not all of them."""
    found = {}
    for name in _SYSCTLS:
        try:
            found[name] = " ".join((proc / "sys" / name.replace(".", "/")).read_text("ascii").split())
        except OSError:
            continue
    return found


def listen_overflows(*, notes: Notes, proc: Path = _PROC) -> int | None:
    """How often a full accept queue cost a connection since boot."""
    try:
        lines = [line.split() for line in (proc / "net" / "netstat").read_text("ascii").splitlines()]
    except OSError as error:
        notes.miss("listen overflows (/proc/net/netstat)", error)
        return None
    for names, values in zip(lines[::2], lines[1::2]):
        if names[:1] == ["TcpExt:"] and "ListenOverflows" in names:
            return int(values[names.index("ListenOverflows")])
    return None


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text("ascii"))
    except (OSError, ValueError):
        return None  # connections are not tracked


# --- paths ------------------------------------------------------------------------------------------------------------


def read_paths(addresses: Iterable[str], *, notes: Notes) -> list[NetworkPath]:
    """How the kernel would reach each address; nothing is sent."""
    wanted = sorted(set(addresses))
    if not wanted:
        return []
    if len(wanted) > _MOST_PATHS:
        notes.miss("routes to addresses of endpoints", f"only {_MOST_PATHS} of {len(wanted)} are looked up")
    try:
        neighbours = _netlink.neighbours()
    except OSError as error:
        notes.miss("neighbours (netlink)", error)
        neighbours = {}
    return [_path(address, neighbours) for address in wanted[:_MOST_PATHS]]


def _path(address: str, neighbours: dict[str, str]) -> NetworkPath:
    try:
        route = _netlink.route_to(address)
    except OSError as error:
        why = _ROUTE_ERRORS.get(error.errno or 0) or reason(error)
        return {"address": address, "reachable": False, "why": why, "interface": None, "neighbour": None}
    try:
        interface = socket.if_indextoname(route.interface) if route.interface else None
    except OSError:
        interface = None
    return {
        "address": address,
        "reachable": True,
        "why": "",
        "interface": interface,
        "neighbour": neighbours.get(route.gateway or address),
    }


# --- connections ------------------------------------------------------------------------------------------------------


def encode_address(address: str, port: int) -> str:
    """As /proc/net/tcp{,6} prints it."""
    packed = socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)
    words = [f"{_WORD.unpack(packed[start : start + 4])[0]:08X}" for start in range(0, len(packed), 4)]
    return "".join(words) + f":{port:04X}"


def count_connections(lines: Iterable[str], wanted: dict[str, Connections]) -> None:
    """Add every connection to a remote end among `wanted` (by its encoded address)."""
    for line in lines:
        fields = line.split(None, 4)
        if len(fields) > 3 and fields[2] in wanted and fields[3] in _STATES:
            wanted[fields[2]][_STATES[fields[3]]] += 1  # type: ignore[literal-required]


def read_connections(ends: Iterable[tuple[str, int]], *, notes: Notes, proc: Path = _PROC) -> list[Connections]:
    wanted: dict[str, Connections] = {
        encode_address(address, port): {
            "address": f"[{address}]:{port}" if ":" in address else f"{address}:{port}",
            "established": 0,
            "syn_sent": 0,
            "time_wait": 0,
            "close_wait": 0,
        }
        for address, port in sorted(set(ends))
    }
    for name in ("tcp", "tcp6") if wanted else ():
        path = proc / "net" / name
        try:
            with path.open(encoding="ascii", errors="replace") as file:
                count_connections(_bounded(file, str(path), notes=notes), wanted)
        except OSError as error:
            if name == "tcp":
                notes.miss(f"connections of {path}", error)
    return [one for one in wanted.values() if any(one[state] for state in _STATES.values())]  # type: ignore[literal-required]


def _bounded(lines: Iterable[str], name: str, *, notes: Notes) -> Iterator[str]:
    for number, line in enumerate(lines):
        if number >= _MOST_LINES:
            notes.miss(f"connections of {name}", f"only the first {_MOST_LINES} are counted")
            return
        yield line


# --- packet filters ---------------------------------------------------------------------------------------------------


def _filter_rules(
    endpoints: Sequence[Endpoint], *, own: set[str], uids: Sequence[int | None], notes: Notes
) -> list[FilterRule]:
    found = find_filters(notes=notes)
    if not any(found):
        return []
    from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._filter_rules import filter_rules
    from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._filter_tables import read_tables

    return filter_rules(endpoints, read_tables(found, notes=notes), own=own, uids=uids or [os.geteuid()])


# --- all --------------------------------------------------------------------------------------------------------------


def read_network(
    endpoints: Sequence[Endpoint],
    *,
    own: Iterable[str],
    uids: Sequence[int | None],
    overflows_before: int | None,
    notes: Notes,
    proc: Path = _PROC,
) -> Network:
    """`own` are this host's addresses, `uids` those of nginx's workers."""
    local = set(own)
    ends = [(address, one["port"]) for one in endpoints if one["port"] for address in one["addresses"]]
    overflows = listen_overflows(notes=notes, proc=proc)
    return {
        "filters": _filter_rules(endpoints, own=local, uids=uids, notes=notes) if ends else [],
        "paths": read_paths((address for address, _port in ends if not is_local(address, local)), notes=notes),
        "connections": read_connections(
            ((address, port) for address, port in ends if "%" not in address), notes=notes, proc=proc
        ),
        "sysctls": read_sysctls(proc=proc),
        "listen_overflows": overflows,
        "listen_overflows_while_looking": None
        if overflows is None or overflows_before is None
        else overflows - overflows_before,
        "conntrack_count": _number(proc / "sys/net/netfilter/nf_conntrack_count"),
        "conntrack_max": _number(proc / "sys/net/netfilter/nf_conntrack_max"),
    }
