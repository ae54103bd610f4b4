# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Replacing a file in one step, with everything about it kept that is not its contents."""

from __future__ import annotations

import errno
import os
import tempfile
from contextlib import suppress
from pathlib import Path

from ansible_collections.sre.bad_gateway.plugins.module_utils._change._errors import InterferenceError, WriteError


def replace(path: str, *, old: bytes, new: bytes) -> None:
    """Put `new` where `old` is, at the end of symbolic links; InterferenceError if something else is there."""
    real = Path(os.path.realpath(path))
    try:
        if real.read_bytes() != old:
            raise InterferenceError(f"{path}: somebody edited it in the meantime; nothing was written to it, run again")
        _replace(real, new)
    except OSError as error:
        raise WriteError(f"{path}: {error.strerror}; it has to be writable, its directory too{_hint(error)}") from error


def _replace(real: Path, new: bytes) -> None:
    # The name begins with a dot, so that no `include dir/*` of nginx's takes it up.
    handle, name = tempfile.mkstemp(prefix=f".{real.name}.", suffix=".bad_gateway", dir=str(real.parent))
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(new)
            file.flush()
            _copy_attributes(real, file.fileno())
            os.fsync(file.fileno())
        Path(name).replace(real)
    except BaseException:
        with suppress(FileNotFoundError):
            Path(name).unlink()
        raise
    directory = os.open(str(real.parent), os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _copy_attributes(real: Path, handle: int) -> None:
    """Owner first: changing it clears bits of the mode. SELinux's context and ACLs are extended attributes."""
    status = real.stat()
    os.fchown(handle, status.st_uid, status.st_gid)
    os.fchmod(handle, status.st_mode & 0o7777)
    try:
        for name in os.listxattr(str(real)):
            value = os.getxattr(str(real), name)
            if name not in os.listxattr(handle) or os.getxattr(handle, name) != value:
                os.setxattr(handle, name, value)
    except OSError as error:
        if error.errno != errno.ENOTSUP:
            raise


def _hint(error: OSError) -> str:
    return "; it is a mount point, change it where it is mounted from" if error.errno == errno.EBUSY else ""
