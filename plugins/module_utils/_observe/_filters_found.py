# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a host filters packets at all. Most that do not are spared what reads the rules."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from ansible_collections.sre.bad_gateway.plugins.module_utils._observe import _netlink
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._shared import Notes

_NF_TABLES = Path("/sys/module/nf_tables")
_MODULES = Path("/proc/modules")
_FAMILIES = ("ip", "ip6")


class FiltersFound(NamedTuple):
    """What there is to read."""

    nftables: tuple[tuple[str, str], ...] = ()  # (family, name) of its tables, those of iptables-nft among them
    legacy: tuple[str, ...] = ()  # families that iptables keeps rules for in the kernel's older way


def find_filters(*, notes: Notes) -> FiltersFound:
    if os.geteuid() != 0:
        notes.miss("packet filter rules", "only root may read them")
        return FiltersFound()
    return FiltersFound(
        nftables=tuple(_nft_tables(notes=notes)), legacy=tuple(family for family in _FAMILIES if _has_legacy(family))
    )


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


def _has_legacy(family: str) -> bool:
    try:
        return bool(Path(f"/proc/net/{family}_tables_names").read_text("ascii").strip())
    except OSError:
        return False
