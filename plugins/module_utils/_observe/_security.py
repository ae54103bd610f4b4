# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Security modules: whether they confine nginx, and what they refused. Without one nothing more is read."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._redact import redact
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._shared import Notes, local_time, run

if TYPE_CHECKING:
    from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import Denial

_AUDIT_LOG = Path("/var/log/audit/audit.log")
_AUDIT_BYTES = 1 << 20
_JOURNAL = ["journalctl", "-k", "-b", "-n", "500", "-o", "cat", "--no-pager", "-g", "avc:  denied|apparmor=.DENIED"]
_JOURNAL_SECONDS = 3
_AVC = r"avc:\s+denied\s+\{ (?P<permission>[^}]*?) \}.*?comm=\"?(?P<process>[^\"\s]+)"
_APPARMOR = r"apparmor=\"DENIED\" operation=\"(?P<permission>[^\"]+)\""
_FIELD = r"\b(?P<name>comm|name|path|dest|requested_mask)=\"?(?P<value>[^\"\s]+)"
_TIME = r"msg=audit\((?P<seconds>\d+)\."


class Security(NamedTuple):
    selinux: str
    apparmor: str
    denials: list[Denial]


def _selinux(sys: Path, etc: Path) -> str:
    try:
        return "enforcing" if (sys / "fs/selinux/enforce").read_text("ascii").strip() == "1" else "permissive"
    except OSError:
        return "disabled" if (etc / "selinux/config").exists() else "absent"


def _apparmor(masters: Iterable[int], proc: Path, sys: Path) -> str:
    try:
        if not (sys / "module/apparmor/parameters/enabled").read_text("ascii").startswith("Y"):
            return "absent"
        labels = [(proc / str(pid) / "attr/current").read_text("ascii", "replace") for pid in masters]
    except (OSError, ValueError):
        return "absent"
    return "enforcing" if any(label.rstrip("\0\n").endswith("(enforce)") for label in labels) else "absent"


def parse_denials(lines: Iterable[str]) -> list[Denial]:
    """The lines of the kernel or of auditd about refusals, folded."""
    found: dict[tuple[str, ...], Denial] = {}
    for line in lines:
        avc, apparmor = re.search(_AVC, line), re.search(_APPARMOR, line)
        match = avc or apparmor
        if not match:
            continue
        fields = {one["name"]: one["value"] for one in re.finditer(_FIELD, line)}
        port = re.search(r"\bdest=(\d+)", line)
        target = port[1] if port else fields.get("path") or fields.get("name") or ""
        process = fields.get("comm", "")
        module = "selinux" if avc else "apparmor"
        key = (module, process, match["permission"], target)
        denial = found.setdefault(
            key,
            {
                "module": module,
                "process": process,
                "permission": match["permission"],
                "target": target,
                "count": 0,
                "last": "",
                "sample": "",
            },
        )
        denial["count"] += 1
        when = re.search(_TIME, line)
        if when:
            denial["last"] = local_time(int(when["seconds"]))
        denial["sample"] = redact(line.strip())[:500]
    return list(found.values())


def _audit_lines(*, notes: Notes) -> list[str]:
    """The newest part of auditd's log; the kernel's own where there is none."""
    try:
        with _AUDIT_LOG.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - _AUDIT_BYTES))
            return file.read(_AUDIT_BYTES).decode("utf-8", "replace").splitlines()
    except FileNotFoundError:
        ran = run(_JOURNAL, seconds=_JOURNAL_SECONDS)
        if ran.status is None:
            notes.miss("denials of security modules", ran.why)
        return ran.stdout.splitlines()
    except OSError as error:
        notes.miss(f"denials of security modules in {_AUDIT_LOG}", error)
        return []


def read_security(
    masters: Sequence[int],
    *,
    notes: Notes,
    proc: Path = Path("/proc"),
    sys: Path = Path("/sys"),
    etc: Path = Path("/etc"),
) -> Security:
    """Look for refusals only where a module could have refused nginx something."""
    selinux, apparmor = _selinux(sys, etc), _apparmor(masters, proc, sys)
    confined = selinux in ("enforcing", "permissive") or apparmor == "enforcing"
    return Security(selinux, apparmor, parse_denials(_audit_lines(notes=notes)) if confined else [])
