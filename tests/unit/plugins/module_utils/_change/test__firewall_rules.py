# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a rule is, and where a connection is stopped."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.sre.bad_gateway.plugins.module_utils._change._firewall_rules import (
    FirewallError,
    of_tool,
    stops,
    typed,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._filter_tables import Filters
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._iptables import parse_save
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._packet_filter import Chain, Match, Rule, Table

NGINX = typed({"port": 8000, "source": "10.0.0.1"})
DROP = Rule(text="tcp dport 8000 drop", matches=(Match("dport", ("8000",)),), verdict="drop")
OURS = Rule(
    text=f'ip saddr 10.0.0.1 tcp dport 8000 accept comment "{NGINX.comment}"',
    matches=(Match("saddr", ("10.0.0.1",)), Match("dport", ("8000",))),
    verdict="accept",
)


def filters(*rules: Rule, hook: str = "input", policy: str = "accept") -> Filters:
    chain = Chain(name=hook, hook=hook, rules=list(rules), policy=policy)
    return Filters([Table("nftables", "inet", "filter", {hook: chain})])


@pytest.mark.parametrize(
    ("given", "text", "unit"),
    [
        ({"source": "10.0.0.1"}, "tcp 8000 from 10.0.0.1", "in-8000-10.0.0.1"),
        ({"source": "10.0.0.1/32"}, "tcp 8000 from 10.0.0.1", "in-8000-10.0.0.1"),
        ({"source": "10.0.0.0/24"}, "tcp 8000 from 10.0.0.0/24", "in-8000-10.0.0.0_24"),
        ({"source": "FD00:0::1"}, "tcp 8000 from fd00::1", "in-8000-fd00::1"),
        ({"destination": "10.0.0.2"}, "tcp 8000 to 10.0.0.2", "out-8000-10.0.0.2"),
        ({"source": "127.0.0.1", "interface": "lo"}, "tcp 8000 from 127.0.0.1 on lo", "in-8000-127.0.0.1-lo"),
    ],
)
def test_names_say_what_is_accepted(given: dict[str, Any], text: str, unit: str) -> None:
    accept = typed({"port": 8000, **given})
    assert (accept.text, accept.unit) == (text, f"bad-gateway-accept-{unit}.service")
    assert accept.comment == f"sre.bad_gateway ({text})"


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"source": "0.0.0.0/0"}, "is everybody"),
        ({"source": "::/0"}, "is everybody"),
        ({"source": "10.0.0.1/24"}, "has host bits set"),
        ({"source": "app1"}, "give an address"),
        ({"source": "10.0.0.1'; reboot"}, "give an address"),
        ({"source": "10.0.0.1", "destination": "10.0.0.2"}, "either a source or a destination"),
        ({}, "either a source or a destination"),
        ({"source": "10.0.0.1", "port": 0}, "0 is no port"),
        ({"source": "10.0.0.1", "port": 70000}, "70000 is no port"),
        ({"source": "10.0.0.1", "interface": "eth0; reboot"}, "no name of a network interface"),
    ],
)
def test_what_is_not_narrow_is_refused(given: dict[str, Any], why: str) -> None:
    with pytest.raises(FirewallError, match=why):
        typed({"port": 8000, **given})


@pytest.mark.parametrize(
    ("seen", "with_ours", "without"),
    [
        (filters(), [], []),
        (filters(DROP), ["inet filter input"], ["inet filter input"]),
        (filters(OURS, DROP), [], ["inet filter input"]),
        (filters(DROP, OURS), ["inet filter input"], ["inet filter input"]),
        (filters(OURS, policy="drop"), [], ["inet filter input"]),
        (filters(DROP, hook="output"), [], []),
    ],
)
def test_where_a_connection_is_stopped(seen: Filters, with_ours: list[str], without: list[str]) -> None:
    assert [one.where for one in stops(NGINX, seen)] == with_ours
    assert [one.where for one in stops(NGINX, seen, ours=False)] == without


def test_the_rule_for_another_network_is_not_ours() -> None:
    assert stops(typed({"port": 8000, "source": "10.0.0.11"}), filters(OURS, DROP))
    other = typed({"port": 8000, "source": "10.0.0.0/24"})
    assert NGINX.comment not in other.comment


def test_every_chain_that_stops_it_counts() -> None:
    tables = [*filters(DROP).tables, *parse_save("*filter\n:INPUT DROP [0:0]\nCOMMIT\n", tool="iptables")]
    found = stops(NGINX, Filters(tables))
    assert [one.where for one in found] == ["inet filter input", "ip filter INPUT"]
    assert [one.where for one in of_tool(found, "nftables")] == ["inet filter input"]
    assert [one.where for one in of_tool(found, "iptables")] == ["ip filter INPUT"]
    assert of_tool(found, "ufw") == found


def test_a_chain_that_only_stands_beside_it_does_not_count() -> None:
    table = filters(DROP).tables[0]
    table.chains["early"] = Chain(name="early", hook="input", priority=-10)
    assert [one.where for one in stops(NGINX, Filters([table]))] == ["inet filter input"]
