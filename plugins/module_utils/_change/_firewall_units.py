# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The unit that keeps a rule: its start inserts the rule, its stop removes it, and it follows the host's own tool.

Files of nftables' are read only where the host includes them, and some tools write theirs anew; a unit works with every
tool, and whoever looks for the rule finds it by the unit's name.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from typing import Sequence

from ansible_collections.sre.bad_gateway.plugins.module_utils._change._firewall_rules import (
    Accept,
    FirewallError,
    Stop,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._unit_files import HEADER

#: The services that load each tool's own rules.
_SERVICES = {
    "nftables": "nftables.service",
    "iptables": "netfilter-persistent.service",
    "ufw": "ufw.service",
    "firewalld": "firewalld.service",
}
_PATH = "/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin"
_PLAIN = re.compile(r"[A-Za-z0-9_./:=,@+-]+")


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


def render(accept: Accept, told: Sequence[Commands]) -> bytes:
    """The whole unit file."""
    services = " ".join(sorted({_SERVICES[one.tool] for one in told}))
    lines = [
        "[Unit]",
        f"Description=Accept {accept.text} in the packet filter",
        # Whenever the tool loads its own rules again, ours is gone with them.
        *(f"{name}={services}" for name in ("After", "PartOf", "ReloadPropagatedFrom")),
        "",
        "[Service]",
        "Type=oneshot",
        "RemainAfterExit=yes",
        *(f"ExecStartPre=-{_line(one.remove)}" for one in told),
        *(f"ExecStart={_line(one.insert)}" for one in told),
        *(f"ExecReload=-{_line(one.remove)}" for one in told),
        *(f"ExecReload={_line(one.insert)}" for one in told),
        *(f"ExecStop=-{_line(one.remove)}" for one in told),
        "",
        "[Install]",
        f"WantedBy=multi-user.target {services}",
    ]
    return f"{HEADER}\n{chr(10).join(lines)}\n".encode()


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
    return Commands("ufw", [ufw, "prepend", *rule, "comment", accept.comment], [ufw, "delete", *rule])


def _firewalld(accept: Accept) -> Commands:
    if accept.leaving:
        raise FirewallError(f"{accept.text}: firewalld lets it out by a policy of yours, which is not changed")
    command = _command("firewall-cmd")
    # A negative priority is looked at before everything that denies.
    rule = (
        f'rule priority="-100" family="ipv{accept.version}" source address="{accept.address}" '
        f'port port="{accept.port}" protocol="tcp" accept'
    )
    return Commands("firewalld", [command, f"--add-rich-rule={rule}"], [command, f"--remove-rich-rule={rule}"])


def _command(name: str) -> str:
    path = shutil.which(name, path=_PATH)
    if path is None:
        raise FirewallError(f"{name}: there is no such command, and its rules stop this; install it")
    return path


def _line(words: Sequence[str]) -> str:
    return " ".join(_quoted(word) for word in words)


def _quoted(word: str) -> str:
    """One word of a command as systemd reads it."""
    if _PLAIN.fullmatch(word):
        return word
    escaped = word.replace("\\", "\\\\").replace("'", "\\'").replace("%", "%%").replace("$", "$$")
    return f"'{escaped}'"
