# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a packet filter does with the first packet of a connection: pure functions over rules of either tool.

A rule is followed in three values: it matches, it does not, or it asks for something that is not known here. What a
drop or reject of the third kind would do is reported as not certain.
"""

from __future__ import annotations

import ipaddress
import pwd
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

_MAX_DEPTH = 16  # of chains that jump to chains


class Packet(NamedTuple):
    """A SYN. None: not known; an interface of "" is some interface that is not `lo`."""

    hook: str  # output | input
    daddr: str | None
    dport: int
    interface: str | None  # by which it leaves or comes
    version: int  # 4 | 6
    saddr: str | None = None
    uid: int | None = None  # of the process that sends it


class Match(NamedTuple):
    """`key` is one of those that `_positive` judges; anything else is not understood."""

    key: str
    values: tuple[str, ...] = ()
    negated: bool = False


class Rule(NamedTuple):
    text: str
    matches: tuple[Match, ...]
    verdict: str | None  # accept | drop | reject | return | jump
    target: str | None = None
    packets: int | None = None
    handle: int | None = None  # nftables' own number of it


@dataclass
class Chain:
    name: str
    rules: list[Rule] = field(default_factory=list)
    hook: str | None = None  # None: only jumped to
    policy: str = "accept"
    priority: int = 0


@dataclass
class Table:
    tool: str  # nftables | iptables | ip6tables
    family: str  # inet | ip | ip6
    name: str
    chains: dict[str, Chain] = field(default_factory=dict)


class Hit(NamedTuple):
    """What stops a packet."""

    table: Table
    chain: Chain
    rule: Rule
    certain: bool


class _Ended(NamedTuple):
    verdict: str  # accept | drop | reject
    chain: Chain
    rule: Rule
    certain: bool


def hit(packet: Packet, tables: Iterable[Table]) -> Hit | None:
    """The rule that stops a packet, a certain one before one that only may."""
    found = []
    for table in tables:
        if table.family not in ("inet", "ip" if packet.version == 4 else "ip6"):
            continue
        for chain in sorted(table.chains.values(), key=lambda one: one.priority):
            if chain.hook == packet.hook:
                ended = _through(chain, packet, table)
                if ended is not None and ended.verdict != "accept":
                    found.append(Hit(table, ended.chain, ended.rule, ended.certain))
    return next((one for one in found if one.certain), found[0] if found else None)


def _through(chain: Chain, packet: Packet, table: Table) -> _Ended | None:
    ended, certain = _follow(chain, packet, table, depth=0)
    decided = ended is not None and (ended.verdict == "accept" or ended.certain)
    if chain.policy == "drop" and not decided:
        return _Ended("drop", chain, Rule(text="policy drop", matches=(), verdict="drop"), certain)
    return ended


def _follow(chain: Chain, packet: Packet, table: Table, *, depth: int) -> tuple[_Ended | None, bool]:
    """(what ends the packet's way, whether nothing before may have let it pass)."""
    certain = True
    possible: _Ended | None = None
    for rule in chain.rules:
        matched = _all([_matches(match, packet) for match in rule.matches])
        if matched is False or rule.verdict is None:
            continue
        if rule.verdict == "return":
            if matched:
                break
            certain = False
            continue
        ended, understood = _verdict(rule, chain, packet, table, depth=depth)
        certain = certain and understood
        if ended is None:
            continue
        if matched and ended.certain:
            if certain and ended.verdict != "accept":
                return ended, True  # what may have come before would have stopped it too
            return possible or ended._replace(certain=certain), certain
        if ended.verdict == "accept":
            certain = False
        else:
            possible = possible or ended._replace(certain=False)
    return possible, certain


def _verdict(rule: Rule, chain: Chain, packet: Packet, table: Table, *, depth: int) -> tuple[_Ended | None, bool]:
    if rule.verdict != "jump":
        return _Ended(str(rule.verdict), chain, rule, certain=True), True
    target = table.chains.get(rule.target or "")
    if target is None or depth >= _MAX_DEPTH:
        return None, True
    return _follow(target, packet, table, depth=depth + 1)


def _all(values: Sequence[bool | None]) -> bool | None:
    if False in values:
        return False
    return None if None in values else True


def _matches(match: Match, packet: Packet) -> bool | None:
    answer = _positive(match, packet)
    return answer if answer is None else answer != match.negated


def _positive(match: Match, packet: Packet) -> bool | None:
    judges: dict[str, Callable[[], bool | None]] = {
        "syn": lambda: True,
        "proto": lambda: any(value in ("tcp", "6") for value in match.values),
        "state": lambda: any(value.lower() == "new" for value in match.values),
        "status": lambda: any(value.lower() == "none" for value in match.values),  # nothing came of it yet
        "dst_type": lambda: _any_of(match.values, _destination_type(packet), lambda value, is_: value.lower() == is_),
        "dport": lambda: _any_of(match.values, packet.dport, _holds_number),
        "daddr": lambda: _any_of(match.values, packet.daddr, _holds_address),
        "saddr": lambda: _any_of(match.values, packet.saddr, _holds_address),
        "uid": lambda: _any_of(match.values, packet.uid, _is_user),
        "oif": lambda: packet.hook == "output" and _any_interface(match.values, packet.interface),
        "iif": lambda: packet.hook == "input" and _any_interface(match.values, packet.interface),
    }
    return judges[match.key]() if match.key in judges else None


def _destination_type(packet: Packet) -> str | None:
    """As the kernel's routes call it: nginx's connections go to one host."""
    if packet.hook == "input" or packet.interface == "lo":
        return "local"
    return None if packet.interface is None else "unicast"


def _any_of(values: Iterable[str], actual: Any, holds: Callable[[str, Any], bool | None]) -> bool | None:
    if actual is None:
        return None
    answers = [holds(value, actual) for value in values]
    return True if True in answers else None if None in answers else False


def _any_interface(values: Iterable[str], actual: str | None) -> bool | None:
    if actual is None:
        return None
    if actual == "":
        return False if set(values) == {"lo"} else None
    return any(actual.startswith(value[:-1]) if value.endswith(("+", "*")) else actual == value for value in values)


def _holds_number(value: str, actual: int) -> bool | None:
    low, _dash, high = value.replace(":", "-").partition("-")
    try:
        return int(low or 0) <= actual <= int(high or (65535 if _dash else low))
    except ValueError:
        return None  # the name of a service


def _holds_address(value: str, actual: str) -> bool | None:
    try:
        if "-" in value:
            low, high = (ipaddress.ip_address(part) for part in value.split("-"))
            return low.version == ipaddress.ip_address(actual).version and int(low) <= int(
                ipaddress.ip_address(actual)
            ) <= int(high)
        return ipaddress.ip_address(actual) in ipaddress.ip_network(value, strict=False)
    except ValueError:
        return None


def _is_user(value: str, actual: int) -> bool | None:
    if "-" in value or value.isdigit():
        return _holds_number(value, actual)
    try:
        return pwd.getpwnam(value).pw_uid == actual
    except KeyError:
        return None


def user_of(rule: Rule) -> str | None:
    """Whom a rule is about, by name where there is one."""
    for match in rule.matches:
        if match.key == "uid" and match.values and not match.negated:
            value = match.values[0]
            try:
                return pwd.getpwuid(int(value)).pw_name if value.isdigit() else value
            except KeyError:
                return value
    return None
