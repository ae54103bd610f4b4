# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The output of iptables-save as rules."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._packet_filter import Chain, Match, Rule, Table

_CHAIN = re.compile(r"^:(?P<name>\S+) (?P<policy>\S+)")
_RULE = re.compile(r"^(?:\[(?P<packets>\d+):\d+\] )?(?P<rule>-A (?P<chain>\S+) ?(?P<words>.*))$")
_HOOKS = {"INPUT": "input", "OUTPUT": "output"}
_VERDICTS = {"ACCEPT": "accept", "DROP": "drop", "REJECT": "reject", "RETURN": "return"}
_KEYS = {
    "-s": "saddr",
    "-d": "daddr",
    "-i": "iif",
    "-o": "oif",
    "-p": "proto",
    "--dport": "dport",
    "--dports": "dport",
    "--uid-owner": "uid",
    "--ctstate": "state",
    "--state": "state",
    "--ctstatus": "status",
    "--dst-type": "dst_type",
}


def parse_save(text: str, *, tool: str) -> list[Table]:
    """Every table; those of nftables that iptables cannot show are comments there."""
    tables: list[Table] = []
    for line in text.splitlines():
        chain, rule = _CHAIN.match(line), _RULE.match(line)
        if line.startswith("*"):
            tables.append(Table(tool=tool, family="ip6" if tool == "ip6tables" else "ip", name=line[1:].strip()))
        elif chain and tables:
            name = chain["name"]
            policy = _VERDICTS.get(chain["policy"], "accept")
            tables[-1].chains[name] = Chain(name=name, hook=_HOOKS.get(name), policy=policy)
        elif rule and tables and rule["chain"] in tables[-1].chains:
            tables[-1].chains[rule["chain"]].rules.append(_rule(rule, tables[-1]))
    return tables


def _rule(match: re.Match[str], table: Table) -> Rule:
    try:
        words = shlex.split(match["words"])
    except ValueError:
        words = ["--unreadable", "-j", "DROP"]
    target = next((words[place + 1] for place, word in enumerate(words[:-1]) if word in ("-j", "-g")), "")
    jumps = target in table.chains
    return Rule(
        text=match["rule"],
        matches=tuple(_matches(words)),
        verdict="jump" if jumps else _VERDICTS.get(target),
        target=target if jumps else None,
        packets=int(match["packets"]) if match["packets"] else None,
    )


def _matches(words: list[str]) -> Iterator[Match]:
    """What stands before the target. An option that is not known takes all words up to the next one."""
    place, negated = 0, False
    while place < len(words) and words[place] not in ("-j", "-g"):
        word = words[place]
        place += 1
        if word == "!":
            negated = True
            continue
        if word == "--comment":
            place += 1  # whatever it says
            continue
        arguments = []
        while place < len(words) and not words[place].startswith("-") and words[place] != "!":
            arguments.append(words[place])
            place += 1
        if word in _KEYS:
            values = tuple(value for argument in arguments for value in argument.split(","))
            yield Match(key=_KEYS[word], values=values, negated=negated)
        elif word == "--tcp-flags" and arguments[1:] == ["SYN"]:
            yield Match(key="syn", negated=negated)
        elif word != "-m":  # which only names an extension: its own options follow
            yield Match(key=word)
        negated = False
