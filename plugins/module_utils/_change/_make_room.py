# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Room on a full disk by compressing large logs, also where not one byte is left; nothing is lost, nothing deleted.

A log is moved aside, its program told to reopen it, and once nobody writes to it any more it is compressed on whichever
file system has room, read back, and only then exchanged for its compressed copy. A run that is killed in between leaves
the log moved aside, or its copy in the spool; the next run finishes either.
"""

from __future__ import annotations

import gzip
import os
import re
import shutil
import time
import zlib
from pathlib import Path
from typing import Callable, Iterable, Iterator
from urllib.parse import quote

from ansible_collections.sre.bad_gateway.plugins.module_utils._change._errors import ChangeError
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._journal import make_state_directory

#: Below that, compressing a log frees nothing worth it; one that was just emptied is left alone.
WORTH = 10 << 20

_PATIENCE = 10.0  # seconds for a program to reopen its logs
_PAUSE = 0.1
_CHUNK = 1 << 20


class RoomError(ChangeError):
    """A log cannot be compressed; the message names it and the remedy."""


def nearly_full(path: Path, percent: int) -> bool:
    """Tell whether the file system of `path` is used at least that much, counted as df does."""
    system = os.statvfs(str(path))
    used = system.f_blocks - system.f_bfree  # what is kept for root is neither used nor free
    return 100.0 * used / max(1, used + system.f_bavail) >= percent


def worth_compressing(path: Path, percent: int) -> bool:
    return path.is_file() and not path.is_symlink() and path.stat().st_size >= WORTH and nearly_full(path, percent)


def left_over(path: Path) -> list[Path]:
    """What an earlier run of this log moved aside and did not finish."""
    pattern = re.compile(re.escape(path.name) + r"\.room-\d+")
    aside = {found for found in path.parent.glob(f"{path.name}.room-*") if pattern.fullmatch(found.name)}
    spooled = {path.parent / f"{path.name}.room-{number}" for number in range(1, 100)}
    return sorted(aside | {one for one in spooled if _spooled(one)})


def compress(path: Path, *, reopen: Callable[[], None] | None) -> Path:
    """Exchange a log for its compressed copy and return that. Without `reopen` it is copied and emptied instead."""
    aside = _free_name(path)
    try:
        if reopen is None:
            _spool(path, aside)
            os.truncate(str(path), 0)
            return _place(aside)
        path.rename(aside)
        reopen()
        return finish(aside)
    except OSError as error:
        raise _refused(path, error) from error


def finish(aside: Path) -> Path:
    """Exchange a log that was moved aside for its compressed copy."""
    try:
        if aside.exists():
            _wait_until_unused(aside)
            _spool(aside, aside)
            aside.unlink()
        return _place(aside)
    except OSError as error:
        raise _refused(aside, error) from error


def _refused(path: Path, error: OSError) -> RoomError:
    return RoomError(
        f"{path}: cannot be compressed ({error.strerror}); nothing of it is lost. Make some room by hand, here or on "
        "the file system of /var/lib, and run again"
    )


def _free_name(path: Path) -> Path:
    names = (path.parent / f"{path.name}.room-{number}" for number in range(1, 100))
    return next(name for name in names if not name.exists() and not _packed(name).exists())


def _packed(aside: Path) -> Path:
    return aside.parent / f"{aside.name}.gz"


def _spool_files(aside: Path) -> Iterator[Path]:
    """Where its compressed copy may wait. On disks only: what lies in memory would not outlive a reboot."""
    for directory in (make_state_directory() / "room", Path("/var/tmp/sre.bad_gateway.room")):  # noqa: S108
        yield directory / f"{quote(str(aside), safe='')}.gz"


def _spooled(aside: Path) -> Path | None:
    """The copy that an earlier run finished before it ended."""
    return next((path for path in _spool_files(aside) if not aside.exists() and path.exists()), None)


def _spool(source: Path, aside: Path) -> None:
    """Compress to where most room is, read it back and compare."""
    spool = max(_spool_files(aside), key=lambda path: _room(path.parent))
    unfinished = spool.parent / f".{spool.name}"
    try:
        with source.open("rb") as log, unfinished.open("wb") as raw:
            os.fchmod(raw.fileno(), 0o600)
            with gzip.GzipFile(fileobj=raw, mode="wb", mtime=0) as packed:
                length, checksum = _pour(iter(lambda: log.read(_CHUNK), b""), packed.write)
            raw.flush()
            os.fsync(raw.fileno())
        with gzip.open(str(unfinished), "rb") as again:
            if _pour(iter(lambda: again.read(_CHUNK), b""), len) != (length, checksum):
                raise RoomError(f"{source}: its compressed copy {unfinished} reads differently; check that disk")
        unfinished.rename(spool)
    finally:
        if unfinished.exists():
            unfinished.unlink()


def _pour(chunks: Iterable[bytes], into: Callable[[bytes], object]) -> tuple[int, int]:
    length, checksum = 0, 0
    for chunk in chunks:
        into(chunk)
        length, checksum = length + len(chunk), zlib.crc32(chunk, checksum)
    return length, checksum


def _room(directory: Path) -> int:
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    system = os.statvfs(str(directory))
    return system.f_bavail * system.f_frsize


def _place(aside: Path) -> Path:
    """Bring the compressed copy back beside the log, now that there is room."""
    spool = _spooled(aside) or next(path for path in _spool_files(aside) if path.exists())
    shutil.copyfile(str(spool), str(_packed(aside)))
    handle = os.open(str(_packed(aside)), os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fchmod(handle, 0o640)
        os.fsync(handle)
    finally:
        os.close(handle)
    spool.unlink()
    return _packed(aside)


def _wait_until_unused(path: Path) -> None:
    end = time.monotonic() + _PATIENCE
    while _users(path):
        if time.monotonic() > end:
            raise RoomError(
                f"{path}: process {_users(path)[0]} still writes to it and does not reopen its log at the signal; "
                "name the unit and signal that make it do so, or none to copy and empty the log"
            )
        time.sleep(_PAUSE)


def _users(path: Path) -> list[str]:
    """Processes that have the file open."""
    status, found = path.stat(), []
    for descriptor in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            other = descriptor.stat()
        except OSError:
            continue  # gone in the meantime
        if (other.st_dev, other.st_ino) == (status.st_dev, status.st_ino):
            found.append(descriptor.parts[2])
    return found
