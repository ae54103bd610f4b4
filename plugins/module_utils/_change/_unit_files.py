# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The text of a drop-in of this collection for a unit, and where it lies."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Mapping, Sequence, Union

from ansible_collections.sre.bad_gateway.plugins.module_utils._change import _unit_states
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._systemd import SystemdError

Value = Union[str, Sequence[str]]
Sections = Mapping[str, Mapping[str, Value]]

HEADER = "# Managed by the Ansible collection sre.bad_gateway: changes made here by hand are overwritten.\n"

_UNIT = re.compile(r"[A-Za-z0-9:_.@\\-]+\.(service|socket|timer|target|mount|automount|swap|path|slice|scope)")
_TEMPLATE = re.compile(r"[^@]+@\.[a-z]+")
_SECTION = re.compile(r"(X-)?[A-Za-z][A-Za-z0-9]*")
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9]*")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


@dataclass(frozen=True)
class Override:
    """One drop-in: which unit, under which name, holding what. No sections: it is not to exist."""

    unit: str
    name: str
    sections: Sections
    optional: bool = False  # a unit that the host does not have needs none

    @property
    def path(self) -> Path:
        """Where it lies. Its name sorts behind the `override.conf` of `systemctl edit` too: what comes last wins."""
        return Path(_unit_states.ROOT, f"{self.unit}.d", f"zz-bad-gateway-{self.name}.conf")


def typed_sections(given: object) -> Sections:
    """Return sections as systemd writes them (true is "yes", 2 is "2"); SystemdError names what cannot be one."""
    if not isinstance(given, dict):
        raise SystemdError(f"sections: expected sections with their settings, found {given!r}")
    return {str(section): _typed_settings(str(section), settings) for section, settings in given.items()}


def _typed_settings(section: str, settings: object) -> Mapping[str, Value]:
    if not isinstance(settings, dict):
        raise SystemdError(f"[{section}]: expected settings with their values, found {settings!r}")
    return {str(key): _typed_value(f"[{section}] {key}", value) for key, value in settings.items()}


def _typed_value(where: str, value: object) -> Value:
    if isinstance(value, list):
        return [_typed_word(where, item) for item in value]
    return _typed_word(where, value)


def _typed_word(where: str, value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (str, int, float)):
        return str(value)
    raise SystemdError(f"{where}: expected a string or a list of strings, found {value!r}")


def render(sections: Sections) -> str:
    """Return the drop-in's text: sections and settings in the given order, nothing that varies from run to run."""
    blocks = [_block(name, settings) for name, settings in sections.items()]
    return HEADER + "".join(blocks)


def _block(name: str, settings: Mapping[str, Value]) -> str:
    lines = [f"{key}={value}\n" for key, values in settings.items() for value in _values(values)]
    return f"\n[{name}]\n" + "".join(lines)


def _values(value: Value) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def with_reset(sections: Sections, *, type: str) -> Sections:
    """Let a new command take the place of the unit's own: systemd refuses a second one, unless the type is oneshot."""
    service = sections.get("Service", {})
    command = _values(service.get("ExecStart", ""))
    if not command[:1] or not command[0] or service.get("Type", type) == "oneshot":
        return sections
    return {**sections, "Service": {**service, "ExecStart": ["", *command]}}


def validate_names(override: Override) -> None:
    if not _UNIT.fullmatch(override.unit):
        raise SystemdError(f"{override.unit!r} is no unit's full name; write it with its suffix, like app.service")
    if _TEMPLATE.fullmatch(override.unit):
        raise SystemdError(f"{override.unit} is a template; name one of its instances, like app@1.service")
    if not _NAME.fullmatch(override.name):
        raise SystemdError(f"{override.name!r} cannot name a drop-in: use letters, digits, '_', '.' and '-'")
    for section, key, value in _settings(override.sections):
        if not (_SECTION.fullmatch(section) and _WORD.fullmatch(key)):
            raise SystemdError(f"[{section}] {key}: sections and settings of a unit are plain words")
        if any(character in value for character in "\n\r\0"):
            raise SystemdError(f"[{section}] {key}: the value {value!r} spans lines; give a list for several lines")
        if value.endswith("\\"):
            raise SystemdError(
                f"[{section}] {key}: the value {value!r} ends in a backslash and would take the next line in"
            )


def _settings(sections: Sections) -> list[tuple[str, str, str]]:
    return [
        (section, key, value)
        for section, settings in sections.items()
        for key, values in settings.items()
        for value in _values(values)
    ]
