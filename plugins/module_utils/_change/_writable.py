# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What would keep a file from being replaced, found out before anything is touched."""

from __future__ import annotations

import array
import fcntl
import os
from pathlib import Path
from typing import Sequence

from ansible_collections.sre.bad_gateway.plugins.module_utils._change._errors import WriteError
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._journal import Edit, require_recordable
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._replace import nearest_existing

_FS_IOC_GETFLAGS = 0x80086601 if array.array("l").itemsize == 8 else 0x80046601
_FIXED = {0x10: ("immutable", "i"), 0x20: ("append-only", "a")}  # FS_IMMUTABLE_FL, FS_APPEND_FL


def require_writable(edits: Sequence[Edit]) -> None:
    """WriteError names the first file that cannot be replaced, and the remedy; JournalError: no record can be kept."""
    if edits:
        require_recordable()
    mount_points = _mount_points()
    for edit in edits:
        real = Path(os.path.realpath(edit.path))
        if edit.new is None and Path(edit.path).is_symlink():
            raise WriteError(f"{edit.path}: it is a symbolic link, and only files are removed; name {real}")
        if edit.old is not None and not os.path.isfile(real):  # noqa: PTH113 - where one may not look it is none
            raise WriteError(f"{edit.path}: it is no file any more; run again")
        parent = nearest_existing(real.parent)
        if os.statvfs(str(parent)).f_flag & os.ST_RDONLY:
            raise WriteError(f"{edit.path}: its file system is read-only; mount it writable or change it at its source")
        for one in (real, parent):
            _require_changeable(edit.path, one)
        if not os.access(str(parent), os.W_OK | os.X_OK):
            raise WriteError(f"{edit.path}: {parent} is not writable for this user; run with become")
        if str(real) in mount_points:
            raise WriteError(f"{edit.path}: it is a mount point; change it where it is mounted from")


def _require_changeable(path: str, place: Path) -> None:
    for flag, (word, letter) in _FIXED.items():
        if _flags(place) & flag:
            raise WriteError(f"{path}: {place} is {word}; `chattr -{letter} {place}` if it is meant to change")


def _flags(path: Path) -> int:
    try:
        handle = os.open(str(path), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return 0  # writing will say what is wrong
    flags = array.array("l", [0])
    try:
        fcntl.ioctl(handle, _FS_IOC_GETFLAGS, flags)
    except OSError:
        return 0  # not every file system has them
    finally:
        os.close(handle)
    return flags[0]


def _mount_points() -> set[str]:
    try:
        lines = Path("/proc/self/mountinfo").read_bytes().splitlines()
    except OSError:
        return set()
    return {os.fsdecode(line.split()[4].decode("unicode_escape").encode("latin-1")) for line in lines}
