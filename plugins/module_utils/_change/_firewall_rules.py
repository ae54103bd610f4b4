# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a packet filter is to accept: one port, for one address or network, and where that is stopped now."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, replace
from typing import Any, Mapping, Sequence

from ansible_collections.sre.bad_gateway.plugins.module_utils._change._errors import ChangeError
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._filter_tables import Filters
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._packet_filter import Chain, Packet, Table, hit

_INTERFACE = re.compile(r"[A-Za-z0-9_.-]{1,15}")
_LAST_PORT = 65535


class FirewallError(ChangeError):
    """What was asked for is no narrow rule, or the packet filter did not take it."""


@dataclass(frozen=True)
class Accept:
    """New TCP connections to one port: from `address`, or, where they leave this host, to it."""

    port: int
    address: str  # or a network, as nftables and systemd write it: "10.0.0.2", "10.0.0.0/24"
    leaving: bool = False
    interface: str = ""  # "": any

    @property
    def version(self) -> int:
        return 6 if ":" in self.address else 4

    @property
    def text(self) -> str:
        """For people."""
        by = f" on {self.interface}" if self.interface else ""
        return f"tcp {self.port} {'to' if self.leaving else 'from'} {self.address}{by}"

    @property
    def comment(self) -> str:
        """Marks the rule as ours. Its end is marked too: no comment is the beginning of another one."""
        return f"sre.bad_gateway ({self.text})"

    @property
    def unit(self) -> str:
        words = ("out" if self.leaving else "in", str(self.port), self.address.replace("/", "_"), self.interface)
        return f"bad-gateway-accept-{'-'.join(word for word in words if word)}.service"

    @property
    def packet(self) -> Packet:
        """The first one of such a connection."""
        network = ipaddress.ip_network(self.address)
        other = str(network[0] if network.num_addresses == 1 else network[1])
        return Packet(
            hook="output" if self.leaving else "input",
            daddr=other if self.leaving else None,
            dport=self.port,
            interface=self.interface or ("lo" if network.is_loopback else ""),
            version=self.version,
            saddr=None if self.leaving else other,
        )


def typed(given: Mapping[str, Any]) -> Accept:
    """FirewallError names what does not make a narrow rule."""
    source, destination, interface = (given.get(name) or "" for name in ("source", "destination", "interface"))
    if bool(source) == bool(destination):
        raise FirewallError(f"port {given['port']}: it takes either a source or a destination")
    if not 0 < given["port"] <= _LAST_PORT:
        raise FirewallError(f"{given['port']} is no port")
    if interface and not _INTERFACE.fullmatch(interface):
        raise FirewallError(f"{interface!r} is no name of a network interface")
    return Accept(given["port"], _address(source or destination), leaving=not source, interface=interface)


def _address(text: str) -> str:
    try:
        network = ipaddress.ip_network(text)
    except ValueError as error:
        raise FirewallError(f"{error}; give an address like 10.0.0.2 or a network like 10.0.0.0/24") from error
    if network.prefixlen == 0:
        raise FirewallError(f"{text} is everybody, and a rule is for somebody; name the address or the network")
    return str(network.network_address if network.num_addresses == 1 else network)


@dataclass(frozen=True)
class Stop:
    """A chain in which a connection ends, or may end."""

    table: Table
    chain: Chain
    certain: bool

    @property
    def where(self) -> str:
        return f"{self.table.family} {self.table.name} {self.chain.name}"


def stops(accept: Accept, filters: Filters, *, ours: bool = True) -> list[Stop]:
    """Every chain of the hook where such a connection is stopped; without `ours`: if our rule were not there."""
    found = []
    for table in filters.tables if ours else [_without(accept, table, filters) for table in filters.tables]:
        for chain in table.chains.values():
            alone = {name: one if one is chain else replace(one, hook=None) for name, one in table.chains.items()}
            stopped = hit(accept.packet, [replace(table, chains=alone)]) if chain.hook else None
            if stopped is not None:
                found.append(Stop(table, chain, stopped.certain))
    return found


def _without(accept: Accept, table: Table, filters: Filters) -> Table:
    chains = {
        name: replace(chain, rules=[rule for rule in chain.rules if accept.comment not in filters.text(table, rule)])
        for name, chain in table.chains.items()
    }
    return replace(table, chains=chains)


def of_tool(found: Sequence[Stop], tool: str) -> list[Stop]:
    """Those that a tool can change; what iptables made is left to iptables."""
    if tool not in ("nftables", "iptables"):
        return list(found)
    return [one for one in found if (one.table.tool == "nftables") == (tool == "nftables")]
