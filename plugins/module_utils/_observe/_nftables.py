# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The ruleset that `nft -j` prints as rules."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._packet_filter import Chain, Match, Rule, Table

_VERDICTS = ("accept", "drop", "reject", "return")
_PAYLOADS = {
    "tcp dport": "dport",
    "th dport": "dport",
    "ip daddr": "daddr",
    "ip6 daddr": "daddr",
    "ip saddr": "saddr",
    "ip6 saddr": "saddr",
    "ip protocol": "proto",
    "ip6 nexthdr": "proto",
}
_META = {
    "iif": "iif",
    "iifname": "iif",
    "oif": "oif",
    "oifname": "oif",
    "l4proto": "proto",
    "skuid": "uid",
}
_SAYS_NOTHING = ("counter", "log", "comment", "mangle")
_HANDLE = re.compile(r"^\s*(?P<rule>.*) # handle (?P<handle>\d+)$")
_TABLE = re.compile(r"^table (?P<family>\S+) (?P<name>\S+) \{")


def parse_ruleset(text: str) -> list[Table]:
    """Every table; raises ValueError when that is no ruleset."""
    objects = json.loads(text)["nftables"]
    tables = {
        (each["table"]["family"], each["table"]["name"]): Table(
            "nftables", each["table"]["family"], each["table"]["name"]
        )
        for each in objects
        if "table" in each
    }
    sets: dict[tuple[str, str, str], Any] = {}
    for each in objects:
        for kind in ("set", "map"):
            if kind in each:
                one = each[kind]
                sets[one["family"], one["table"], "@" + one["name"]] = one.get("elem", [])
        if "chain" in each:
            one = each["chain"]
            tables[one["family"], one["table"]].chains[one["name"]] = Chain(
                name=one["name"],
                hook=one.get("hook"),
                policy=one.get("policy", "accept"),
                priority=int(one.get("prio", 0)),
            )
    for each in objects:
        if "rule" in each:
            one = each["rule"]
            table = tables[one["family"], one["table"]]
            known = {
                name: elements
                for (family, of, name), elements in sets.items()
                if (family, of) == (table.family, table.name)
            }
            table.chains[one["chain"]].rules.extend(_rules(one, known))
    return list(tables.values())


def parse_texts(text: str) -> dict[tuple[str, str, int], str]:
    """By family, table and handle the rules that `nft -a list ruleset` prints."""
    found: dict[tuple[str, str, int], str] = {}
    family, name = "", ""
    for line in text.splitlines():
        table, rule = _TABLE.match(line), _HANDLE.match(line)
        if table:
            family, name = table["family"], table["name"]
        elif rule and not rule["rule"].endswith("{"):
            found[family, name, int(rule["handle"])] = rule["rule"]
    return found


def _rules(one: dict[str, Any], sets: dict[str, Any]) -> Iterator[Rule]:
    """A rule, or with a verdict map one for each of its entries."""
    matches: list[Match] = []
    packets, verdict, target = None, None, None
    for statement in one.get("expr", []):
        kind, value = _only(statement)
        if kind == "match":
            matches.append(_match(value, sets))
        elif kind == "counter" and isinstance(value, dict):
            packets = value.get("packets")
        elif kind in _VERDICTS:
            verdict = kind
        elif kind in ("jump", "goto"):
            verdict, target = "jump", value["target"]
        elif kind == "vmap":
            yield from _mapped(one, value, tuple(matches), sets)
        elif kind == "xt" and value and value.get("type") == "target":
            verdict = str(value.get("name", "")).lower()
            verdict = verdict if verdict in _VERDICTS else None
        elif kind not in _SAYS_NOTHING and not (kind == "xt" and value and value.get("name") == "comment"):
            matches.append(Match(key=kind))
    yield Rule(
        text=json.dumps(one.get("expr")),
        matches=tuple(matches),
        verdict=verdict,
        target=target,
        packets=packets,
        handle=one.get("handle"),
    )


def _mapped(
    one: dict[str, Any], value: dict[str, Any], before: tuple[Match, ...], sets: dict[str, Any]
) -> Iterator[Rule]:
    data = value.get("data")
    entries = data.get("set", []) if isinstance(data, dict) else sets.get(str(data), [])
    for entry in entries:
        if not isinstance(entry, list) or len(entry) != 2 or not isinstance(entry[1], dict):
            continue
        kind, target = _only(entry[1])
        jump = kind in ("jump", "goto")
        match = Match(key=_key(value.get("key")), values=tuple(_values(entry[0], sets)))
        yield Rule(
            text=json.dumps(one.get("expr")),
            matches=(*before, match),
            verdict="jump" if jump else kind if kind in _VERDICTS else None,
            target=target["target"] if jump else None,
            handle=one.get("handle"),
        )


def _only(one: dict[str, Any]) -> tuple[str, Any]:
    """Of an object with one key, its name and value."""
    return next(iter(one.items()), ("", None))


def _key(left: Any) -> str:
    """What is compared, or a key that nothing is known about."""
    if isinstance(left, dict):
        kind, value = _only(left)
        if kind == "payload":
            name = f"{value.get('protocol')} {value.get('field')}"
            return _PAYLOADS.get(name, name)
        if kind == "meta":
            return _META.get(value.get("key"), f"meta {value.get('key')}")
        if kind == "ct" and value.get("key") in ("state", "status"):
            return str(value["key"])
        if kind == "fib" and value.get("result") == "type" and value.get("flags") in ("daddr", ["daddr"]):
            return "dst_type"
    return "expression"


def _match(value: dict[str, Any], sets: dict[str, Any]) -> Match:
    negated = value.get("op") == "!="
    left, right = value.get("left"), value.get("right")
    if isinstance(left, dict) and "&" in left and right == "syn":
        return Match(key="syn", negated=negated)
    if value.get("op") not in ("==", "!=", "in"):
        return Match(key="expression")
    values = tuple(_values(right, sets))
    return Match(key=_key(left), values=values, negated=negated)


def _values(right: Any, sets: dict[str, Any]) -> Iterator[str]:
    """Each value of the right-hand side as text: "8000", "8000-8010", "10.0.0.0/8". "?" is none that is understood."""
    if isinstance(right, str) and right.startswith("@"):
        right = sets.get(right, [{"unknown": right}])
    if isinstance(right, list):
        for each in right:
            yield from _values(each, sets)
    elif isinstance(right, dict):
        kind, value = _only(right)
        if kind == "set":
            yield from _values(value, sets)
        elif kind == "elem":
            yield from _values(value.get("val"), sets)
        elif kind == "prefix":
            yield f"{value['addr']}/{value['len']}"
        elif kind == "range":
            yield f"{value[0]}-{value[1]}"
        else:
            yield "?"
    else:
        yield str(right)
