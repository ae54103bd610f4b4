# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The packet filters of this host. No command runs, and no kernel module is loaded, where there is no rule at all."""

from __future__ import annotations

from dataclasses import dataclass, field

from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._filters_found import FiltersFound, find_filters
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._iptables import parse_save
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._nftables import parse_ruleset, parse_texts
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._packet_filter import Rule, Table
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._shared import Notes, run

_SECONDS = 3
_MOST_BYTES = 16 << 20
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
    """All that there are."""
    return read_tables(find_filters(notes=notes), notes=notes)


def read_tables(found: FiltersFound, *, notes: Notes) -> Filters:
    """Those that iptables made in nftables are read through iptables, which knows its own matches."""
    tables = _saved(found, notes=notes)
    saved = {(table.family, table.name) for table in tables}
    if set(found.nftables) - saved:
        tables += [table for table in _nft_ruleset(notes=notes) if (table.family, table.name) not in saved]
    return Filters(tables)


def _saved(found: FiltersFound, *, notes: Notes) -> list[Table]:
    tables: list[Table] = []
    for family, tool in _TOOLS.items():
        backends = ["legacy"] if family in found.legacy else []
        if any(of == family and name in _IPTABLES_NAMES for of, name in found.nftables):
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
