# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The plan of each host: its automatic fixes, role by role, as far as they are wanted."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Dict, Sequence, get_args

from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._causes import TITLES
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._model import Confidence, Finding

#: For each host, for each role, the variables to apply it with.
Plans = Dict[str, Dict[str, Dict[str, Any]]]

#: The roles in the order in which a host needs them: room first, then what serves, then what leads there.
SIDES: dict[str, tuple[str, ...]] = {
    "app": ("log_rotation", "upstream_firewall", "supervision"),
    "nginx": ("proxy_pass", "upstream_keepalive"),
}
_ROLES = tuple(role for roles in SIDES.values() for role in roles)

#: What makes two entries of a role's list speak of the same thing.
_IDENTITY = ("unit", "nginx_unit", "file", "line", "endpoint")


class ChoiceError(ValueError):
    """What was asked for cannot be chosen; the message names it and what there is."""


@dataclass(frozen=True)
class Choice:
    """Which findings are to be fixed without asking, of those that could be."""

    only: tuple[str, ...] = ()  # causes; none: all
    skip: tuple[str, ...] = ()  # causes
    confidence: Confidence = "possible"  # the least that is acted on

    def __post_init__(self) -> None:
        for cause in (*self.only, *self.skip):
            if cause not in TITLES:
                raise ChoiceError(f"{cause!r} is no cause; {_meant(cause)}")

    def takes(self, finding: Finding) -> bool:
        levels = get_args(Confidence)  # the surest first
        return (
            finding.fix is not None
            and finding.fix.automatic
            and (not self.only or finding.cause in self.only)
            and finding.cause not in self.skip
            and levels.index(finding.confidence) <= levels.index(self.confidence)
        )


EVERYTHING = Choice()


def _meant(cause: str) -> str:
    near = get_close_matches(cause, TITLES, n=2, cutoff=0.8)
    return f"did you mean {' or '.join(near)}?" if near else f"there are: {', '.join(sorted(TITLES))}"


def plans(findings: Sequence[Finding], choice: Choice = EVERYTHING) -> Plans:
    """Merge the automatic fixes of each host; the app side comes before the nginx side."""
    merged: Plans = {}
    for finding in findings:
        if finding.fix is None or not choice.takes(finding):
            continue
        variables = merged.setdefault(finding.host, {}).setdefault(finding.fix.role, {})
        for name, entries in finding.fix.variables.items():
            variables[name] = _merged([*variables.get(name, []), *entries])
    return {host: {role: merged[host][role] for role in _ROLES if role in merged[host]} for host in sorted(merged)}


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
    if isinstance(first, dict):
        return _joined(first, second)
    return sorted({*first, *second}) if isinstance(first, list) else second
