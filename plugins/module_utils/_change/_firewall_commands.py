# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How each tool is told to accept connections, and to accept them no more."""

from __future__ import annotations

import hashlib
import re
import shutil
from dataclasses import dataclass
from typing import Sequence

from ansible_collections.sre.bad_gateway.plugins.module_utils._change._firewall_rules import (
    Accept,
    FirewallError,
    Stop,
)

PATH = "/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin"
#: They keep the rules that they are given, and load them themselves.
MANAGERS = ("ufw", "firewalld")


@dataclass(frozen=True)
class Commands:
    """How one tool is told. Removing what is not there may fail."""

    tool: str
    insert: Sequence[str]
    remove: Sequence[str]


def commands(accept: Accept, stopping: Sequence[Stop], *, tool: str) -> list[Commands]:
    """Where the host has a manager of rules it is told once, else every chain that stops the connection."""
    if tool == "ufw":
        return [_ufw(accept)]
    if tool == "firewalld":
        return [_firewalld(accept)]
    return [_nft(accept, one) if one.table.tool == "nftables" else _iptables(accept, one) for one in stopping]


def _nft(accept: Accept, stop: Stop) -> Commands:
    nft, chain = _command("nft"), stop.where.split()
    interface = ["oifname" if accept.leaving else "iifname", f'"{accept.interface}"'] if accept.interface else []
    address = ["ip6" if accept.version == 6 else "ip", "daddr" if accept.leaving else "saddr", accept.address]
    rule = [*interface, *address, "tcp", "dport", str(accept.port), "accept", "comment", f'"{accept.comment}"']
    # Only a handle names a rule for removal; it is the last word of the line.
    script = (
        f"{nft} -a list chain {stop.where} | grep -F '{accept.comment}' | "
        f"while read -r line; do {nft} delete rule {stop.where} handle ${{line##* }}; done"
    )
    return Commands("nftables", [nft, "insert", "rule", *chain, *rule], ["/bin/sh", "-c", script])


def _iptables(accept: Accept, stop: Stop) -> Commands:
    iptables = [_command(stop.table.tool), "-w", "-t", stop.table.name]
    interface = ["-o" if accept.leaving else "-i", accept.interface] if accept.interface else []
    address = ["-d" if accept.leaving else "-s", accept.address]
    match = ["-p", "tcp", *address, *interface, "--dport", str(accept.port)]
    rule = [*match, "-m", "comment", "--comment", accept.comment, "-j", "ACCEPT"]
    name = stop.chain.name
    return Commands("iptables", [*iptables, "-I", name, "1", *rule], [*iptables, "-D", name, *rule])


def _ufw(accept: Accept) -> Commands:
    ufw, port = _command("ufw"), ["port", str(accept.port)]
    interface = ["on", accept.interface] if accept.interface else []
    if accept.leaving:
        rule = ["allow", "out", *interface, "proto", "tcp", "to", accept.address, *port]
    else:
        rule = ["allow", "in", *interface, "proto", "tcp", "from", accept.address, "to", "any", *port]
    ours = f"{ufw} show added | grep -qF '{accept.comment}'"
    add = f"{ours} || {ufw} prepend {' '.join(rule)} comment '{accept.comment}'"
    return Commands("ufw", _in_turn(add), _in_turn(f"{ours} && {ufw} delete {' '.join(rule)}"))


def ufw_has(accept: Accept, rules: str) -> str:
    """What a rule of somebody else's says about just these connections, by ufw's file: ufw takes no second one."""
    anybody = "::/0" if accept.version == 6 else "0.0.0.0/0"
    ends = f"{accept.address} any {anybody} out" if accept.leaving else f"{anybody} any {accept.address} in"
    interface = f"_{accept.interface}" if accept.interface else ""
    about = re.escape(f"tcp {accept.port} {ends}{interface}")
    found = re.search(
        rf"^### tuple ### (?P<says>[a-z]+)\S* {about}(?: comment=(?P<comment>\w+))?$", rules, re.MULTILINE
    )
    return found["says"] if found and found["comment"] != accept.comment.encode().hex() else ""


def _in_turn(script: str) -> list[str]:
    """ufw reads its rules before it waits for another one of it to write them, and then writes what it has read."""
    return [_command("flock"), "/run/bad-gateway-firewall.lock", "/bin/sh", "-c", script]


def _firewalld(accept: Accept) -> Commands:
    """For now every zone gets the rule. From its next start or reload on, not ours to do, the policy has it."""
    if accept.leaving:
        raise FirewallError(f"{accept.text}: firewalld lets it out by a policy of yours, which is not changed")
    if accept.interface:
        raise FirewallError(f"{accept.text}: firewalld has zones instead of interfaces; leave the interface out")
    command = _command("firewall-cmd")
    # A negative priority is looked at before everything that denies.
    rule = (
        f'rule priority="-100" family="ipv{accept.version}" source address="{accept.address}" '
        f'port port="{accept.port}" protocol="tcp" accept'
    )
    policy = f"{command} --policy={policy_name(accept)}"
    lasting = f"{policy} --query-rich-rule='{rule}' >/dev/null 2>&1"
    zones = f"{{ {command} --get-default-zone; {command} --get-active-zones | sed 's/ .*//'; }} | sort -u"
    each = f"for zone in $({zones}); do {command} --zone=$zone"
    add = f"{lasting} || {each} --add-rich-rule='{rule}' || exit 1; done"
    remove = f"{lasting} && {policy} --remove-rich-rule='{rule}'; {each} --remove-rich-rule='{rule}'; done"
    return Commands("firewalld", ["/bin/sh", "-c", add], ["/bin/sh", "-c", remove])


def policy_name(accept: Accept) -> str:
    """Its chains are named after it: firewalld takes 18 letters."""
    return f"bg-{accept.port}-{hashlib.sha256(accept.unit.encode()).hexdigest()[:8]}"


def _command(name: str) -> str:
    path = shutil.which(name, path=PATH)
    if path is None:
        raise FirewallError(f"{name}: there is no such command, and its rules stop this; install it")
    return path
