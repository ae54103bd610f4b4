# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The packet filters of this host. No command runs, and no kernel module is loaded, where there is no rule at all."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from ansible_collections.sre.bad_gateway.plugins.module_utils._observe import _netlink
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._iptables import parse_save
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._nftables import parse_ruleset, parse_texts
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._packet_filter import Rule, Table
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._shared import Notes, run

_SECONDS = 3
_MOST_BYTES = 16 << 20
_NF_TABLES = Path("/sys/module/nf_tables")
_MODULES = Path("/proc/modules")
_IPTABLES_NAMES = ("filter", "mangle", "raw", "security", "nat")
_TOOLS = {"ip": "iptables", "ip6": "ip6tables"}


@dataclass
class Filters:
    tables: list[Table] = field(default_factory=list)
    texts: dict[tuple[str, str, int], str] | None = None  # of nftables' rules; read when the first one is asked for

    def text(self, table: Table, rule: Rule) -> str:
        """As the tool prints it."""
        if table.tool != "nftables" or rule.handle is None:
            return rule.text
        if self.texts is None:
            self.texts = parse_texts(run(["nft", "-a", "list", "ruleset"], seconds=_SECONDS).stdout)
        return self.texts.get((table.family, table.name, rule.handle), rule.text)


def read_filters(*, notes: Notes) -> Filters:
    """Every table. Those that iptables made in nftables are read through iptables, which knows its own matches."""
    if os.geteuid() != 0:
        notes.miss("packet filter rules", "only root may read them")
        return Filters()
    named = _nft_tables(notes=notes)
    tables = _saved(named, notes=notes)
    saved = {(table.family, table.name) for table in tables}
    if set(named) - saved:
        tables += [table for table in _nft_ruleset(notes=notes) if (table.family, table.name) not in saved]
    return Filters(tables)


def _has_nf_tables() -> bool:
    """Whether the kernel has it already: to ask one that has not would load the module."""
    if _NF_TABLES.exists() or not _MODULES.exists():
        return True  # loaded, or a kernel that never loads anything
    built_in = Path("/lib/modules") / os.uname().release / "modules.builtin"
    try:
        return "/nf_tables.ko" in built_in.read_text("ascii")
    except OSError:
        return False


def _nft_tables(*, notes: Notes) -> list[tuple[str, str]]:
    if not _has_nf_tables():
        return []
    try:
        return _netlink.nft_tables()
    except OSError as error:
        notes.miss("packet filter rules of nftables (netlink)", error)
        return []


def _legacy(family: str) -> bool:
    names = Path(f"/proc/net/{'ip6' if family == 'ip6' else 'ip'}_tables_names")
    try:
        return bool(names.read_text("ascii").strip())
    except OSError:
        return False


def _saved(named: list[tuple[str, str]], *, notes: Notes) -> list[Table]:
    tables: list[Table] = []
    for family, tool in _TOOLS.items():
        backends = ["legacy"] if _legacy(family) else []
        if any(of == family and name in _IPTABLES_NAMES for of, name in named):
            backends.append("nft")
        for backend in backends:
            tables += _save(tool, backend, notes=notes)
    return tables


def _save(tool: str, backend: str, *, notes: Notes) -> list[Table]:
    """By the command of that kind, else by the one that the system chose."""
    for command in (f"{tool}-{backend}-save", f"{tool}-save"):
        ran = run([command, "-c"], seconds=_SECONDS)
        if ran.status == 0 and len(ran.stdout) <= _MOST_BYTES:
            return parse_save(ran.stdout, tool=tool)
    notes.miss(f"packet filter rules of {tool}", ran.why or ran.stderr.strip() or "too many")
    return []


def _nft_ruleset(*, notes: Notes) -> list[Table]:
    ran = run(["nft", "-j", "list", "ruleset"], seconds=_SECONDS)
    why = ran.why or (ran.stderr.strip() if ran.status else "")
    if not why and len(ran.stdout) > _MOST_BYTES:
        why = "too many"
    if not why:
        try:
            return parse_ruleset(ran.stdout)
        except (ValueError, KeyError, TypeError) as error:
            why = f"not understood: {error!r}"
    notes.miss("packet filter rules of nftables", why)
    return []
