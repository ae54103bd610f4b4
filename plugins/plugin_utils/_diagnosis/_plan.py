# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The plan of each host: its automatic fixes, role by role."""

from __future__ import annotations

from typing import Any, Dict, Sequence

from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._model import Finding

#: For each host, for each role, the variables to apply it with.
Plans = Dict[str, Dict[str, Dict[str, Any]]]

#: What makes two entries of a role's list speak of the same thing.
_IDENTITY = ("unit", "nginx_unit", "file", "line", "endpoint")


def plans(findings: Sequence[Finding]) -> Plans:
    """Merge the automatic fixes of each host; the app side comes before the nginx side."""
    merged: Plans = {}
    for finding in findings:
        fix = finding.fix
        if fix is None or not fix.automatic:
            continue
        variables = merged.setdefault(finding.host, {}).setdefault(fix.role, {})
        for name, entries in fix.variables.items():
            variables[name] = _merged([*variables.get(name, []), *entries])
    return {host: dict(sorted(merged[host].items(), reverse=True)) for host in sorted(merged)}


def _merged(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Entries about the same thing become one; lists in them are joined."""
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for entry in entries:
        key = tuple(entry.get(name) for name in _IDENTITY)
        found[key] = _joined(found.get(key, {}), entry)
    return [found[key] for key in sorted(found, key=repr)]


def _joined(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    return {**first, **{name: _both(first.get(name), value) for name, value in second.items()}}


def _both(first: Any, second: Any) -> Any:
    return sorted({*first, *second}) if isinstance(first, list) else second
