# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files put in place in one step, with everything about them kept that is not their contents."""

from __future__ import annotations

import base64
import errno
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Mapping

from ansible_collections.sre.bad_gateway.plugins.module_utils._change._errors import WriteError

_ACL = "system.posix_acl_access"  # a new file may get one from its directory
_NEW_FILE = 0o644
_NEW_DIRECTORY = 0o755


@dataclass(frozen=True)
class Attributes:
    """Owner, mode, and extended attributes: SELinux's context and ACLs are among these."""

    uid: int
    gid: int
    mode: int
    xattrs: Mapping[str, str]  # in base64, as the journal keeps them


def read(path: Path) -> bytes | None:
    """None when there is no such file."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise WriteError(f"{path}: cannot be read: {error.strerror}") from error


def attributes(path: Path) -> Attributes | None:
    try:
        status = path.stat()
        return Attributes(
            uid=status.st_uid,
            gid=status.st_gid,
            mode=status.st_mode & 0o7777,
            xattrs={name: base64.b64encode(value).decode() for name, value in _xattrs(str(path)).items()},
        )
    except FileNotFoundError:
        return None


def nearest_existing(path: Path) -> Path:
    """The path, or the nearest directory above it that is there; `Path.exists` would raise where one may not look."""
    return next(one for one in (path, *path.parents) if os.path.exists(one))  # noqa: PTH110


def stage(temporary: Path, content: bytes, wanted: Attributes | None) -> None:
    """Write what is to be installed, all of it, so that only a rename can fail afterwards."""
    _make_directories(temporary.parent)
    with suppress(FileNotFoundError):
        temporary.unlink()
    handle = os.open(str(temporary), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        if wanted is None:
            os.fchmod(file.fileno(), _NEW_FILE)
        else:
            _give(file.fileno(), wanted)
        os.fsync(file.fileno())


def install(temporary: Path, path: Path) -> None:
    temporary.replace(path)
    sync_directory(path.parent)


def remove(path: Path) -> None:
    with suppress(FileNotFoundError):
        path.unlink()
        sync_directory(path.parent)


def remove_empty(directory: Path) -> None:
    """A directory that others use too stays."""
    with suppress(OSError):
        directory.rmdir()
        sync_directory(directory.parent)


def missing_parents(path: Path) -> list[Path]:
    """The directories that have to be made for a file, outermost first."""
    return [parent for parent in reversed(path.parents) if not parent.exists()]


def sync_directory(directory: Path) -> None:
    handle = os.open(str(directory), os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _make_directories(directory: Path) -> None:
    for one in [*missing_parents(directory), directory]:
        if not one.exists():
            one.mkdir(_NEW_DIRECTORY)
            one.chmod(_NEW_DIRECTORY)  # whatever the umask
            sync_directory(one.parent)


def _give(handle: int, wanted: Attributes) -> None:
    """Owner first: changing it clears bits of the mode."""
    os.fchown(handle, wanted.uid, wanted.gid)
    os.fchmod(handle, wanted.mode)
    has = _xattrs(handle)
    if _ACL in has and _ACL not in wanted.xattrs:
        os.removexattr(handle, _ACL)
    for name, text in wanted.xattrs.items():
        value = base64.b64decode(text)
        if has.get(name) != value:
            os.setxattr(handle, name, value)


def _xattrs(file: str | int) -> dict[str, bytes]:
    try:
        return {name: os.getxattr(file, name) for name in os.listxattr(file)}
    except OSError as error:
        if error.errno == errno.ENOTSUP:
            return {}
        raise
