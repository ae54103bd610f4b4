# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The files that keep a rule: a unit whose start inserts it and whose stop removes it, and what firewalld loads itself.

Files of nftables' are read only where the host includes them, and some tools write theirs anew; a unit works with every
tool, and whoever looks for the rule finds it by the unit's name.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Sequence

from ansible_collections.sre.bad_gateway.plugins.module_utils._change import _unit_states
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._firewall_commands import (
    MANAGERS,
    Commands,
    policy_name,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._firewall_rules import Accept
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._unit_files import HEADER

#: The services that load each tool's own rules.
_SERVICES = {
    "nftables": "nftables.service",
    "iptables": "netfilter-persistent.service",
    "ufw": "ufw.service",
    "firewalld": "firewalld.service",
}
_POLICIES = "/etc/firewalld/policies"
_PLAIN = re.compile(r"[A-Za-z0-9_./:=,@+-]+")


def unit_path(accept: Accept) -> Path:
    return Path(_unit_states.ROOT, accept.unit)


def policy_path(accept: Accept) -> Path:
    """Of firewalld's."""
    return Path(_POLICIES, f"{policy_name(accept)}.xml")


def files(accept: Accept, told: Sequence[Commands]) -> dict[Path, bytes]:
    """Whole, all that keep the rule."""
    found = {unit_path(accept): _unit(accept, told)}
    if "firewalld" in (one.tool for one in told):
        found[policy_path(accept)] = _policy(accept)
    return found


def _unit(accept: Accept, told: Sequence[Commands]) -> bytes:
    services = " ".join(sorted({_SERVICES[one.tool] for one in told}))
    follows = all(one.tool not in MANAGERS for one in told)
    lines = [
        "[Unit]",
        f"Description=Accept {accept.text} in the packet filter",
        *(_following(services) if follows else _once(services)),
        "",
        "[Service]",
        "Type=oneshot",
        "RemainAfterExit=yes",
        *(f"ExecStartPre=-{_line(one.remove)}" for one in told if follows),
        *(f"ExecStart={_line(one.insert)}" for one in told),
        *(f"ExecReload=-{_line(one.remove)}" for one in told if follows),
        *(f"ExecReload={_line(one.insert)}" for one in told if follows),
        *(f"ExecStop=-{_line(one.remove)}" for one in told),
        "",
        "[Install]",
        f"WantedBy=multi-user.target{f' {services}' if follows else ''}",
    ]
    return f"{HEADER}\n{chr(10).join(lines)}\n".encode()


def _following(services: str) -> list[str]:
    """Whenever the tool loads its own rules again, ours is gone with them."""
    return [f"{name}={services}" for name in ("After", "PartOf", "ReloadPropagatedFrom")]


def _once(services: str) -> list[str]:
    """Nothing is removed at shutdown: what the tool keeps it has already when the host starts."""
    return ["DefaultDependencies=no", f"After=basic.target {services}"]


def _policy(accept: Accept) -> bytes:
    """What comes from any zone is asked here before anything else."""
    lines = [
        '<?xml version="1.0" encoding="utf-8"?>',
        '<policy target="CONTINUE" priority="-32768">',
        f"  <short>{accept.comment}</short>",
        f"  <description>{HEADER.lstrip('# ').rstrip()}</description>",
        '  <ingress-zone name="ANY"/>',
        '  <egress-zone name="HOST"/>',
        f'  <rule priority="-100" family="ipv{accept.version}">',
        f'    <source address="{accept.address}"/>',
        f'    <port port="{accept.port}" protocol="tcp"/>',
        "    <accept/>",
        "  </rule>",
        "</policy>",
    ]
    return f"{chr(10).join(lines)}\n".encode()


def _line(words: Sequence[str]) -> str:
    return " ".join(_quoted(word) for word in words)


def _quoted(word: str) -> str:
    """One word of a command as systemd reads it."""
    if _PLAIN.fullmatch(word):
        return word
    escaped = word.replace("\\", "\\\\").replace("'", "\\'").replace("%", "%%").replace("$", "$$")
    return f"'{escaped}'"
