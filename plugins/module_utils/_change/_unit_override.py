# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A drop-in of this collection for a unit: its text, its test, and putting it in place."""

from __future__ import annotations

import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Mapping, Sequence, Union

from ansible_collections.sre.bad_gateway.plugins.module_utils._change import _systemd
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._journal import Edit, Plan, UnitAction
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._lock import turn
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._perform import perform
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._replace import read
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._systemd import SystemdError
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._writable import require_writable

Value = Union[str, Sequence[str]]
Sections = Mapping[str, Mapping[str, Value]]

HEADER = "# Managed by the Ansible collection sre.bad_gateway: changes made here by hand are overwritten.\n"
ROOT = "/etc/systemd/system"

_UNIT = re.compile(r"[A-Za-z0-9:_.@\\-]+\.(service|socket|timer|target|mount|path|slice)")
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9]*")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


@dataclass(frozen=True)
class Override:
    """One drop-in: which unit, under which name, holding what. No sections: it is not to exist."""

    unit: str
    name: str
    sections: Sections

    @property
    def path(self) -> Path:
        """Where it lies. The name sorts behind what distributions and most people use, so that it wins."""
        return Path(ROOT, f"{self.unit}.d", f"90-bad-gateway-{self.name}.conf")


@dataclass(frozen=True)
class Outcome:
    """What applying an override did, or would do in check mode."""

    changed: bool
    path: str
    before: str  # "" when the drop-in did not exist
    after: str  # "" when it does not exist any more
    reloaded: bool  # systemd was told to read its units again
    recovered: Sequence[str]  # what a killed change had left, and what was done about it

    @property
    def changes(self) -> list[str]:
        """For reports: what this did to the host."""
        return [*self.recovered, *([self.path] if self.changed else [])]


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


def apply(override: Override, *, check_mode: bool, run_id: str = "") -> Outcome:
    """Make the drop-in say what it should, tested before it is in place; systemd reads it again if bytes changed."""
    _validate_names(override)
    with turn(module="service_override", run_id=run_id, check_mode=check_mode) as recovered:
        _systemd.require_loaded(override.unit)
        after = render(override.sections) if override.sections else None
        edit = Edit(
            path=str(override.path),
            old=read(override.path),
            new=None if after is None else after.encode(),
            empty=(str(override.path.parent),),
        )
        changed = edit.old != edit.new
        if changed and after is not None:
            _verify(override, after)
        reload = changed or _systemd.properties(override.unit, "NeedDaemonReload")["NeedDaemonReload"] == "yes"
        if check_mode:
            require_writable([edit] if changed else [])
        elif changed:
            _replace(override, edit, run_id=run_id)
        elif reload:
            _systemd.daemon_reload()
    return Outcome(
        changed=reload,
        path=edit.path,
        before=_text(edit.old),
        after=_text(edit.new),
        reloaded=reload and not check_mode,
        recovered=recovered,
    )


def _text(content: bytes | None) -> str:
    return (content or b"").decode("utf-8", "backslashreplace")


def _block(name: str, settings: Mapping[str, Value]) -> str:
    lines = [f"{key}={value}\n" for key, values in settings.items() for value in _values(values)]
    return f"\n[{name}]\n" + "".join(lines)


def _values(value: Value) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def _validate_names(override: Override) -> None:
    if not _UNIT.fullmatch(override.unit):
        raise SystemdError(f"{override.unit!r} is no unit's full name; write it with its suffix, like app.service")
    if not _NAME.fullmatch(override.name):
        raise SystemdError(f"{override.name!r} cannot name a drop-in: use letters, digits, '_', '.' and '-'")
    for section, key, value in _settings(override.sections):
        if not (_WORD.fullmatch(section) and _WORD.fullmatch(key)):
            raise SystemdError(f"[{section}] {key}: sections and settings of a unit are plain words")
        if any(character in value for character in "\n\r\0"):
            raise SystemdError(f"[{section}] {key}: the value {value!r} spans lines; give a list for several lines")


def _settings(sections: Sections) -> list[tuple[str, str, str]]:
    return [
        (section, key, value)
        for section, settings in sections.items()
        for key, values in settings.items()
        for value in _values(values)
    ]


def _verify(override: Override, text: str) -> None:
    """Let systemd judge the new drop-in, on a copy of the unit file, away from the live tree."""
    with tempfile.TemporaryDirectory(prefix="bad-gateway-") as directory:
        answer = _systemd.run(["systemd-analyze", "verify", "--man=no", _copy_unit(override, text, Path(directory))])
        problems = [
            line.replace(directory, ROOT) for line in answer.stderr.splitlines() if _is_about(override, line=line)
        ]
    if problems:
        shown = "; ".join(problems)
        raise SystemdError(f"{override.path}: systemd-analyze verify refuses it, nothing was changed: {shown}")


def _is_about(override: Override, *, line: str) -> bool:
    """Tell complaints about the drop-in from those about other units, which systemd-analyze reads along."""
    return override.path.name in line or (line.startswith(override.unit + ":") and "Refusing" in line)


def _copy_unit(override: Override, text: str, directory: Path) -> str:
    # systemd-analyze looks into the directory of the file it is given first, and finds the other drop-ins itself.
    fragment = _systemd.properties(override.unit, "FragmentPath")["FragmentPath"]
    if not fragment:
        raise SystemdError(f"{override.unit}: it has no unit file to test against (systemd itself makes it)")
    copy = directory / override.unit
    shutil.copyfile(fragment, copy)
    drop_ins = directory / f"{override.unit}.d"
    drop_ins.mkdir()
    (drop_ins / override.path.name).write_text(text, encoding="utf-8")
    return str(copy)


def _replace(override: Override, edit: Edit, *, run_id: str) -> None:
    """Write or remove the drop-in; where systemd then no longer loads the unit, what was there is put back."""

    def take_up() -> None:
        try:
            _systemd.daemon_reload()
            _systemd.require_loaded(override.unit)
        except SystemdError as error:
            raise SystemdError(f"{override.path}: taken back, {error}") from error

    plan = Plan(module="service_override", run_id=run_id, edits=[edit], units=[UnitAction(override.unit)])
    perform(plan, accept=lambda: None, take_up=take_up)


def diff(outcome: Outcome) -> dict[str, str] | None:
    """Return Ansible's diff of the drop-in, None when its bytes stay."""
    if outcome.before == outcome.after:
        return None
    return {
        "before_header": outcome.path,
        "after_header": outcome.path,
        "before": outcome.before,
        "after": outcome.after,
    }
