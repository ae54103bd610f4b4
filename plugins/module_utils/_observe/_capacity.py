# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the host has: CPUs, memory, room where things are written, and whether logs are rotated away."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._security import read_security
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._shared import Notes

if TYPE_CHECKING:
    from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import Capacity, Filesystem, LogRotation

_REMOTE = ("nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "glusterfs")  # asking them may never come back
_LOGROTATE = Path("/etc/logrotate.conf")
_ESCAPE = r"\\(\d{3})"
_MOST_CONFIGS = 500
_MOST_BYTES = 1 << 20


class Mount(NamedTuple):
    place: str
    kind: str


class Rotation(NamedTuple):
    """What one file of logrotate covers: patterns of paths."""

    file: str
    patterns: tuple[str, ...]


def parse_meminfo(text: str) -> dict[str, int]:
    """In bytes."""
    return {
        name: int(rest.split()[0]) * 1024 for name, _colon, rest in (line.partition(":") for line in text.splitlines())
    }


def parse_mounts(text: str) -> list[Mount]:
    """/proc/self/mountinfo, the ones mounted last first."""
    found = []
    for line in text.splitlines():
        before, _dash, after = line.partition(" - ")
        place = re.sub(_ESCAPE, lambda match: chr(int(match[1], 8)), before.split()[4])
        found.append(Mount(place=place, kind=after.split()[0]))
    return found[::-1]


def mount_of(path: str, mounts: Sequence[Mount]) -> Mount | None:
    """The one with the longest path; of two at one place that which hides the other."""
    holding = [one for one in mounts if path == one.place or path.startswith(one.place.rstrip("/") + "/")]
    return max(holding, key=lambda one: len(one.place), default=None)


def read_filesystems(paths: Iterable[str], *, notes: Notes) -> list[Filesystem]:
    """Each file system once, with all of `paths` that lie there or would."""
    try:
        mounts = parse_mounts(Path("/proc/self/mountinfo").read_text("utf-8", "surrogateescape"))
    except OSError as error:
        notes.miss("file systems (/proc/self/mountinfo)", error)
        return []
    by_mount: dict[Mount, list[str]] = {}
    for path in sorted(set(paths)):
        mount = mount_of(os.path.realpath(path), mounts)  # noqa: PTH118, RUF100  # the end of a link counts
        if mount:
            by_mount.setdefault(mount, []).append(path)
    found = [_filesystem(mount, lying, notes=notes) for mount, lying in by_mount.items()]
    return [one for one in found if one]


def _filesystem(mount: Mount, paths: list[str], *, notes: Notes) -> Filesystem | None:
    what = f"room on {mount.place}"
    if mount.kind in _REMOTE:
        notes.miss(what, f"{mount.kind} may not answer, and is not asked")
        return None
    try:
        room = os.statvfs(mount.place)
    except OSError as error:
        notes.miss(what, error)
        return None
    return {
        "mount": mount.place,
        "paths": paths,
        "size": room.f_blocks * room.f_frsize,
        "free": room.f_bavail * room.f_frsize,
        "inodes": room.f_files,
        "inodes_free": room.f_favail,
        "read_only": bool(room.f_flag & os.ST_RDONLY),
    }


# --- logrotate --------------------------------------------------------------------------------------------------------


def parse_logrotate(text: str) -> tuple[list[str], list[str]]:
    """(patterns of logs, files and directories that are included)."""
    patterns: list[str] = []
    included: list[str] = []
    pending: list[str] = []  # patterns may stand on lines of their own before the brace
    inside, script = False, False
    for line in (raw.strip() for raw in text.splitlines()):
        if script:
            script = line != "endscript"
        elif inside:
            script = line in ("postrotate", "prerotate", "firstaction", "lastaction", "preremove")
            inside = not line.startswith("}")
        elif line.startswith("include "):
            included.append(line.split(None, 1)[1])
        elif line.startswith(("/", '"', "'")) or (pending and line.startswith("{")):
            names, brace, rest = line.partition("{")
            pending += [quoted or plain for quoted, plain in re.findall(r"[\"']([^\"']+)[\"']|(\S+)", names)]
            if brace:
                patterns, pending, inside = patterns + pending, [], "}" not in rest
    return patterns, included


def read_rotations(*, notes: Notes, main: Path = _LOGROTATE) -> list[Rotation]:
    found: list[Rotation] = []
    waiting, seen = [main], {main}
    while waiting and len(seen) < _MOST_CONFIGS:
        file = waiting.pop(0)
        try:
            if file.is_dir():
                more = sorted(one for one in file.iterdir() if not one.name.startswith("."))
            else:
                with file.open(encoding="utf-8", errors="replace") as opened:
                    patterns, included = parse_logrotate(opened.read(_MOST_BYTES))
                found.append(Rotation(file=str(file), patterns=tuple(patterns)))
                more = [main.parent / one for one in included]
        except FileNotFoundError:
            continue  # no logrotate here
        except OSError as error:
            notes.miss(f"log rotation by {file}", error)
            continue
        waiting += [one for one in more if one not in seen]
        seen.update(more)
    return found


def covers(pattern: str, path: str) -> bool:
    """As glob() takes it: a star does not reach over a slash."""
    regex = "".join(
        "[^/]*" if part == "*" else "[^/]" if part == "?" else part if part.startswith("[") else re.escape(part)
        for part in re.split(r"(\*|\?|\[[^]]*\])", pattern)
    )
    return re.fullmatch(regex, path) is not None


def log_rotation(paths: Iterable[str], rotations: Sequence[Rotation]) -> list[LogRotation]:
    """For every log that is there, by its own path or by that which a link leads to."""
    found: list[LogRotation] = []
    for path in sorted(set(paths)):
        try:
            size = Path(path).stat().st_size
        except OSError:
            continue  # said where the log is read
        names = {path, os.path.realpath(path)}  # noqa: PTH118, RUF100
        by = next((one.file for one in rotations if any(covers(p, name) for p in one.patterns for name in names)), None)
        found.append({"path": path, "by": by, "size": size})
    return found


# --- all --------------------------------------------------------------------------------------------------------------


def read_capacity(*, logs: Iterable[str], written: Iterable[str], masters: Sequence[int], notes: Notes) -> Capacity:
    """`written` are further places where nginx and app servers write, `masters` the pids of nginx."""
    files = [path for path in logs if Path(path).is_file()]
    memory: dict[str, int] = {}
    try:
        memory = parse_meminfo(Path("/proc/meminfo").read_text("ascii"))
    except OSError as error:
        notes.miss("memory (/proc/meminfo)", error)
    security = read_security(masters, notes=notes)
    return {
        "cpus": os.cpu_count() or 0,
        "memory": memory.get("MemTotal", 0),
        "memory_available": memory.get("MemAvailable", 0),
        "filesystems": read_filesystems([*logs, *written], notes=notes),
        "log_rotation": log_rotation(files, read_rotations(notes=notes)) if files else [],
        "selinux": security.selinux,
        "apparmor": security.apparmor,
        "denials": security.denials,
    }
