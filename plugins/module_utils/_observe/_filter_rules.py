# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which rules of a host's packet filters stop connections to nginx's endpoints."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._filter_tables import Filters
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._host import is_local
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._packet_filter import Packet, hit, user_of

if TYPE_CHECKING:
    from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import Endpoint, FilterRule


def packets(endpoint: Endpoint, *, own: set[str], uids: Sequence[int | None]) -> Iterator[Packet]:
    """The first packets of connections to an endpoint: nginx's own, and on its own host those from other hosts."""
    port = endpoint["port"]
    if port is None:
        return
    for address in endpoint["addresses"]:
        version, local = 6 if ":" in address else 4, is_local(address, own)
        source = address if local else None
        interface = "lo" if local else ""
        for uid in uids:
            yield Packet("output", address, port, interface, version, saddr=source, uid=uid)
        if local:
            yield Packet("input", address, port, "lo", version, saddr=source)
            if not ipaddress.ip_address(address.partition("%")[0]).is_loopback:
                yield Packet("input", address, port, "", version)
    if endpoint["key"].startswith(("tcp:0.0.0.0:", "tcp:[::]:")):
        yield Packet("input", None, port, "", 6 if "[" in endpoint["key"] else 4)


def filter_rules(
    endpoints: Iterable[Endpoint], filters: Filters, *, own: set[str], uids: Sequence[int | None]
) -> list[FilterRule]:
    """The rules that stop connections to endpoints, each with all endpoints that it hits."""
    found: dict[tuple[str, ...], FilterRule] = {}
    for endpoint in endpoints:
        for packet in packets(endpoint, own=own, uids=uids):
            stopped = hit(packet, filters.tables)
            if stopped is None:
                continue
            where = f"{stopped.table.family} {stopped.table.name} {stopped.chain.name}"
            text = filters.text(stopped.table, stopped.rule)
            rule = found.setdefault(
                (stopped.table.tool, where, text),
                {
                    "tool": stopped.table.tool,
                    "where": where,
                    "rule": text,
                    "verdict": str(stopped.rule.verdict),
                    "endpoints": [],
                    "user": user_of(stopped.rule),
                    "certain": stopped.certain,
                    "packets": stopped.rule.packets,
                },
            )
            rule["certain"] = rule["certain"] or stopped.certain
            if endpoint["key"] not in rule["endpoints"]:
                rule["endpoints"].append(endpoint["key"])
    return list(found.values())
