# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The newest part of a log, with what was rotated away from it: bounded in time, bytes and memory.

A plain file is entered where the window begins, found by its time stamps without reading what lies before. A file that
is cut or renamed meanwhile ends early at worst: each is opened once.
"""

from __future__ import annotations

import gzip
import os
import re
import stat
import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import BinaryIO, Callable, NamedTuple, Optional

from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._shared import Notes, local_time, reason

#: The first time in a piece of a log, as "2026/11/21 03:50:01"; None when it holds none.
Stamp = Callable[[bytes], Optional[str]]

_BLOCK = 1 << 20
_LINE = 64 << 10  # bytes kept of a line that is longer than a block
_STEP = 64 << 10  # bytes looked through for a time stamp at once
_STEPS = 16
_INFLATED = 256 << 20  # a compressed file is read from its beginning: not one that holds more than this
_FAIR_SHARES = 4  # all logs of one sort together take as many bytes as this many of them may

# error.log.1, error.log-20261120, error.log-20261120.gz, error.log.room-1, and error-20261120.log of `extension .log`.
_ROTATED = (
    r"(?P<base>.+?)(?:[.-](?:\d[\d._-]*|old|room-\d+)|[.-]\d{8}[\d-]*(?P<extension>\.[A-Za-z]+))"
    r"(?P<compressed>\.(?:gz|bz2|xz|zst|lz4|Z))?"
)


class Window(NamedTuple):
    """How far back logs are read."""

    since: float  # seconds of the epoch
    limit: int  # bytes of one log, its rotated files included; compressed ones count as they are decompressed

    @property
    def begin(self) -> str:
        return local_time(self.since)

    @property
    def quarter(self) -> Window:
        """For logs that hold much more and tell less."""
        return Window(since=self.since, limit=self.limit // 4)


@dataclass
class Taken:
    """What was read of one log."""

    size: int = 0  # of the log itself
    bytes_read: int = 0
    files: list[str] = field(default_factory=list)  # newest first
    whole: bool = True  # nothing of the window was left out


class _Directories:
    """What was rotated away from logs; each directory is listed once."""

    def __init__(self) -> None:
        self._rotated: dict[str, dict[str, list[str]]] = {}

    def rotated(self, path: str) -> list[str]:
        """Files that were `path` once, in no order."""
        directory, name = os.path.split(path)
        if directory not in self._rotated:
            self._rotated[directory] = _rotated_names(directory)
        return [os.path.join(directory, each) for each in self._rotated[directory].get(name, [])]  # noqa: PTH118


def _rotated_names(directory: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    try:
        names = os.listdir(directory)  # noqa: PTH208 - names are wanted, not paths
    except OSError:
        return found  # the log itself may be readable all the same
    for name in names:
        match = re.fullmatch(_ROTATED, name)
        if match:
            found.setdefault(match["base"] + (match["extension"] or ""), []).append(name)
    return found


def _newest_first(paths: Iterable[str], *, since: float) -> list[str]:
    """Those written to in the window. Neither renaming nor compressing changes a file's time."""
    times: list[tuple[float, str]] = []
    for path in paths:
        try:
            status = os.stat(path)  # noqa: PTH116
        except OSError:
            continue  # rotated further meanwhile
        if stat.S_ISREG(status.st_mode) and status.st_mtime >= since:
            times.append((status.st_mtime, path))
    return [path for _time, path in sorted(times, reverse=True)]


def seek_time(file: BinaryIO, *, size: int, begin: str, stamp: Stamp) -> int:
    """Where lines of `begin` and later start, to within a step; all before is older."""
    low, high = 0, size
    while high - low > _STEP:
        middle = (low + high) // 2
        found = _stamp_after(file, middle, high, stamp)
        if found is None or found >= begin:
            high = middle  # where there is no time at all it cannot be told: rather read too much
        else:
            low = middle
    return low


def _stamp_after(file: BinaryIO, start: int, end: int, stamp: Stamp) -> str | None:
    for step in range(_STEPS):
        file.seek(start + step * _STEP)
        piece = file.read(max(0, min(_STEP, end - file.tell())))
        found = stamp(piece)
        if found is not None or not piece:
            return found
    return None


def _to_line(file: BinaryIO, start: int) -> int:
    """Go to the first whole line at or after `start`."""
    if start:
        file.seek(start - 1)
        start += len(file.readline(_BLOCK)) - 1
    file.seek(start)
    return start


def blocks(file: BinaryIO, *, left: int) -> Iterator[bytes]:
    """`left` bytes from here as blocks of whole lines. Of a line longer than a block its beginning and end stay."""
    rest = b""
    while left > 0:
        chunk = file.read(min(_BLOCK, left))
        if not chunk:
            break
        left -= len(chunk)
        end = chunk.rfind(b"\n") + 1
        if end:
            yield rest + chunk[:end]
            rest = chunk[end:]
        elif len(rest) < _LINE:
            rest += chunk[:_LINE]
    if rest:
        yield rest


class LogReader:
    """Reads the logs of one sort; no file twice, whatever its names."""

    def __init__(self, *, window: Window, notes: Notes) -> None:
        self.window = window
        self.notes = notes
        self._directories = _Directories()
        self._read: set[tuple[int, int]] = set()

    def read(self, path: str, *, limit: int, stamp: Stamp, consume: Callable[[bytes], None]) -> Taken:
        """Hand over the newest `limit` bytes of the window, file by file from the newest; OSError for the log itself.

        Nothing is taken of a log that was read before under another name.
        """
        taken = Taken()
        self._take(path, limit=limit, taken=taken, stamp=stamp, consume=consume)
        if not taken.files:
            return taken
        for older in _newest_first(self._directories.rotated(path), since=self.window.since):
            left = limit - taken.bytes_read
            if left <= 0:
                taken.whole = False
                break
            try:
                self._take(older, limit=left, taken=taken, stamp=stamp, consume=consume)
            except (OSError, EOFError, zlib.error) as error:
                self.notes.miss(f"rotated log {older}", reason(error))
                taken.whole = False
        return taken

    def _take(self, path: str, *, limit: int, taken: Taken, stamp: Stamp, consume: Callable[[bytes], None]) -> None:
        with open(path, "rb") as file:  # noqa: PTH123
            status = os.fstat(file.fileno())
            identity = (status.st_dev, status.st_ino)
            if identity in self._read:
                return
            self._read.add(identity)
            compressed = re.fullmatch(_ROTATED, path) if taken.files else None
            if compressed and compressed["compressed"] == ".gz":
                read, whole = self._inflate(file, limit=limit, consume=consume)
            elif compressed and compressed["compressed"]:
                raise OSError(None, f"only gzip is read here, not {compressed['compressed']}")
            else:
                read, whole = self._plain(file, size=status.st_size, limit=limit, stamp=stamp, consume=consume)
        taken.size = taken.size if taken.files else status.st_size
        taken.files.append(path)
        taken.bytes_read += read
        taken.whole = taken.whole and whole

    def _plain(
        self, file: BinaryIO, *, size: int, limit: int, stamp: Stamp, consume: Callable[[bytes], None]
    ) -> tuple[int, bool]:
        """(bytes read, whether they are all of the window)."""
        begin = seek_time(file, size=size, begin=self.window.begin, stamp=stamp)
        start = _to_line(file, max(begin, size - limit))
        for block in blocks(file, left=size - start):
            consume(block)
        return max(0, size - start), begin >= size - limit

    @staticmethod
    def _inflate(file: BinaryIO, *, limit: int, consume: Callable[[bytes], None]) -> tuple[int, bool]:
        size = _inflated_size(file)
        if size > _INFLATED:
            raise OSError(None, f"holds {size >> 20} MiB, and can only be read from its beginning")
        with gzip.GzipFile(fileobj=file) as inflated:
            start = max(0, size - limit)
            inflated.seek(start)
            if start:
                inflated.readline(_BLOCK)
            for block in blocks(inflated, left=limit):  # type: ignore[arg-type]  # as good as one for reading
                consume(block)
            return inflated.tell() - start, not start


def _inflated_size(file: BinaryIO) -> int:
    """What the last four bytes of a gzip file say. It is modulo 4 GiB, so reading has a bound of its own."""
    if file.read(2) != b"\x1f\x8b":
        raise OSError(None, "not in gzip's format")
    file.seek(-4, os.SEEK_END)
    (size,) = struct.unpack("<I", file.read(4))
    file.seek(0)
    return int(size)


class Allowance:
    """How many bytes of each log may be read: what small ones leave of their share goes to larger ones."""

    def __init__(self, *, limit: int, logs: int) -> None:
        self._limit = limit
        self._left = limit * _FAIR_SHARES
        self._logs = logs

    def share(self) -> int:
        return max(0, min(self._limit, self._left // max(1, self._logs)))

    def spend(self, taken: int) -> None:
        self._left -= taken
        self._logs -= 1


def smallest_first(paths: Iterable[str]) -> list[str]:
    return sorted(paths, key=lambda path: (_size(path), path))


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size  # noqa: PTH116
    except OSError:
        return 0


def no_file(path: str) -> str:
    """Why a path leaves no file to read; "" when it is one. OSError when it cannot be looked at."""
    if os.path.islink(path):  # noqa: PTH114
        target = os.readlink(path)
        if target.startswith(("/dev/", "/proc/")):
            return f"leads to {target}: the journal or the container's log has it"
    return "" if stat.S_ISREG(os.stat(path).st_mode) else "not a regular file"  # noqa: PTH116
