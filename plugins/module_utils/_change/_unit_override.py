# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A drop-in of this collection for a unit: its text, its test, and putting it in place."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Mapping, Sequence, Union

from ansible_collections.sre.bad_gateway.plugins.module_utils._change import _systemd
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._systemd import SystemdError

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


def apply(override: Override, *, check_mode: bool) -> Outcome:
    """Make the drop-in say what it should, tested before it is in place; systemd reads it again if bytes changed."""
    _validate_names(override)
    _systemd.require_loaded(override.unit)
    before = _read(override.path)
    after = render(override.sections) if override.sections else ""
    changed = before != after
    if changed and after:
        _verify(override, after)
    if changed and not check_mode:
        _replace(override, before=before, after=after)
    reload = changed or _systemd.properties(override.unit, "NeedDaemonReload")["NeedDaemonReload"] == "yes"
    if reload and not check_mode:
        _daemon_reload()
    return Outcome(
        changed=reload, path=str(override.path), before=before, after=after, reloaded=reload and not check_mode
    )


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


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise SystemdError(f"{path}: cannot be read: {error}") from error


def _replace(override: Override, *, before: str, after: str) -> None:
    """Write or remove the drop-in; where systemd then no longer loads the unit, put back what was there."""
    _write(override.path, after)
    try:
        _daemon_reload()
        _systemd.require_loaded(override.unit)
    except SystemdError as error:
        _write(override.path, before)
        _daemon_reload()
        raise SystemdError(f"{override.path}: taken back, {error}") from error


def _write(path: Path, text: str) -> None:
    try:
        if text:
            _write_whole(path, text)
        else:
            _remove(path)
    except OSError as error:
        raise SystemdError(f"{path}: cannot be changed: {error.strerror}; only root can change units") from error


def _write_whole(path: Path, text: str) -> None:
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".bad-gateway-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fchmod(file.fileno(), 0o644)
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink()
        raise


def _remove(path: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    with contextlib.suppress(OSError):  # other drop-ins may be in that directory
        path.parent.rmdir()


def _daemon_reload() -> None:
    answer = _systemd.run(["systemctl", "daemon-reload"])
    if answer.status != 0:
        raise SystemdError(f"systemctl daemon-reload failed: {answer.stderr.strip()}")


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
