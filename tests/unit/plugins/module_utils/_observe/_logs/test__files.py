# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which bytes of which files are read, and how few of a large log."""

from __future__ import annotations

import gzip
import io
import os
import time
import tracemalloc
from pathlib import Path

import pytest

from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._logs import _files
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._logs._error_lines import error_stamp
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._logs._files import (
    Allowance,
    LogReader,
    Taken,
    Window,
    blocks,
    seek_time,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._shared import Notes, local_time

NOW = time.time()
HOUR = 3600.0
MIB = 1 << 20


def line(seconds_ago: float, text: str = "x") -> bytes:
    return f"{local_time(NOW - seconds_ago)} [error] 1#1: {text}\n".encode()


def written(path: Path, content: bytes, *, seconds_ago: float = 0.0) -> Path:
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    os.utime(path, (NOW - seconds_ago, NOW - seconds_ago))
    return path


def read(path: Path, *, notes: Notes, limit: int = MIB, since: float = NOW - 24 * HOUR) -> tuple[Taken, bytes]:
    got: list[bytes] = []
    reader = LogReader(window=Window(since=since, limit=limit), notes=notes)
    taken = reader.read(str(path), limit=limit, stamp=error_stamp, consume=got.append)
    return taken, b"".join(got)


@pytest.mark.parametrize(
    ("name", "log"),
    [
        ("error.log.1", "error.log"),
        ("error.log.12.gz", "error.log"),
        ("error.log-20261120", "error.log"),
        ("error.log-20261120.gz", "error.log"),
        ("error.log-20261120-1795219200.gz", "error.log"),
        ("error.log-2026-11-20", "error.log"),
        ("error.log.2026-11-20.xz", "error.log"),
        ("error.log.old", "error.log"),
        ("error.log.room-1", "error.log"),
        ("error-20261120.log", "error.log"),
        ("error-20261120.log.gz", "error.log"),
        ("site-2.error.log.1", "site-2.error.log"),
    ],
)
def test_names_of_rotated_files(name: str, log: str, tmp_path: Path) -> None:
    written(tmp_path / name, b"")
    assert _files._Directories().rotated(str(tmp_path / log)) == [str(tmp_path / name)]


@pytest.mark.parametrize(
    "name", ["error.log", "error-2.log", "error.log.gz", "error.log.1.txt", "xerror.log.1", "error.log.bak"]
)
def test_names_of_other_files(name: str, tmp_path: Path) -> None:
    written(tmp_path / name, b"")
    assert _files._Directories().rotated(str(tmp_path / "error.log")) == []


def test_all_files_of_the_window_are_read_newest_first(tmp_path: Path) -> None:
    log = written(tmp_path / "error.log", line(10, "now"))
    first = written(tmp_path / "error.log.1", line(2 * HOUR, "first"), seconds_ago=HOUR)
    second = written(tmp_path / "error.log.2.gz", line(30 * HOUR, "a") + line(9 * HOUR, "second"), seconds_ago=8 * HOUR)
    written(tmp_path / "error.log.3.gz", line(50 * HOUR, "too old"), seconds_ago=25 * HOUR)
    notes = Notes()
    taken, got = read(log, notes=notes)
    assert taken.files == [str(log), str(first), str(second)]
    assert got.split(b"] 1#1: ")[1:] and [part.split(b"\n")[0] for part in got.split(b"1#1: ")[1:]] == [
        b"now",
        b"first",
        b"a",
        b"second",
    ]
    assert (taken.size, taken.bytes_read, notes.entries) == (len(line(10, "now")), len(got), [])
    assert taken.whole


def test_bytes_are_bounded_over_all_files(tmp_path: Path) -> None:
    log = written(tmp_path / "error.log", line(10) * 10)
    written(tmp_path / "error.log.1", line(HOUR) * 1000, seconds_ago=60)
    written(tmp_path / "error.log.2", line(HOUR) * 1000, seconds_ago=90)
    limit = len(line(10)) * 100
    taken, got = read(log, notes=Notes(), limit=limit)
    assert [Path(file).name for file in taken.files] == ["error.log", "error.log.1"]
    assert (taken.bytes_read, got.count(b"\n"), taken.whole) == (limit, 100, False)


def test_a_file_that_just_fits_leaves_older_ones_out(tmp_path: Path) -> None:
    log = written(tmp_path / "error.log", line(10) * 10)
    assert read(log, notes=Notes(), limit=log.stat().st_size)[0].whole
    written(tmp_path / "error.log.1", line(HOUR), seconds_ago=60)
    assert not read(log, notes=Notes(), limit=log.stat().st_size)[0].whole
    assert not read(log, notes=Notes(), limit=log.stat().st_size - 1)[0].whole


def test_a_compressed_file_counts_as_it_is_decompressed(tmp_path: Path) -> None:
    log = written(tmp_path / "error.log", line(10))
    written(tmp_path / "error.log.1.gz", line(HOUR, "old") + line(HOUR, "new") * 1000, seconds_ago=60)
    limit = len(line(HOUR, "new")) * 50
    taken, got = read(log, notes=Notes(), limit=limit)
    assert got.count(b"new") in (48, 49)
    assert taken.bytes_read <= limit
    assert b"old" not in got
    assert not taken.whole


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("error.log.1.gz", b"no gzip at all", "not in gzip's format"),
        ("error.log.1.gz", gzip.compress(os.urandom(3000))[:2000] + b"\1\0\0\0", None),
        ("error.log.1.gz", b"", "not in gzip's format"),
        (
            "error.log.1.gz",
            b"\x1f\x8b" + (1 << 30).to_bytes(4, "little"),
            "holds 1024 MiB, and can only be read from its beginning",
        ),
        ("error.log.1.xz", b"", "only gzip is read here, not .xz"),
    ],
)
def test_rotated_files_that_cannot_be_read_are_said(name: str, content: bytes, why: str | None, tmp_path: Path) -> None:
    log = written(tmp_path / "error.log", line(10))
    (tmp_path / name).write_bytes(content)
    notes = Notes()
    taken, got = read(log, notes=notes)
    assert (taken.files, got[: len(line(10))]) == ([str(log)], line(10))
    assert [entry["what"] for entry in notes.entries] == [f"rotated log {tmp_path / name}"]
    assert why is None or notes.entries[0]["why"] == why
    assert not taken.whole


def test_the_window_is_entered_without_reading_what_lies_before(tmp_path: Path) -> None:
    path = tmp_path / "error.log"
    recent = b"".join(line(HOUR - index, "recent") for index in range(1000))
    with path.open("wb") as file:
        for day in range(30, 1, -1):
            file.write(line(day * 24 * HOUR, "old" * 20) * 2000)
        size = file.tell()
        file.write(recent)

    class Counting(io.BytesIO):
        read_bytes = 0

        def read(self, size: int | None = -1) -> bytes:
            data = super().read(size)
            self.read_bytes += len(data)
            return data

    counting = Counting(path.read_bytes())
    start = seek_time(counting, size=path.stat().st_size, begin=local_time(NOW - 24 * HOUR), stamp=error_stamp)
    assert size - _files._STEP <= start <= size
    assert counting.read_bytes < 12 * _files._STEP
    _taken, got = read(path, notes=Notes(), limit=64 * MIB)
    assert got.endswith(recent)
    assert len(got) < len(recent) + 2 * _files._STEP


def test_a_huge_log_takes_flat_memory(tmp_path: Path) -> None:
    path = tmp_path / "error.log"
    with path.open("wb") as file:
        file.truncate(2 << 30)  # two GiB of nothing, then lines
        file.seek(0, os.SEEK_END)
        file.write(line(60, "recent") * 1000)
    found: list[int] = []
    reader = LogReader(window=Window(since=NOW - HOUR, limit=64 * MIB), notes=Notes())
    tracemalloc.start()
    taken = reader.read(
        str(path), limit=64 * MIB, stamp=error_stamp, consume=lambda block: found.append(block.count(b"recent"))
    )
    _now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sum(found) == 1000
    assert taken.bytes_read <= 64 * MIB
    assert peak < 8 * MIB


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        (14, b"one\ntwo\nthree\n"),
        (13, b"two\nthree\n"),
        (10, b"two\nthree\n"),
        (9, b"three\n"),
        (6, b"three\n"),
        (3, b""),
    ],
)
def test_the_newest_bytes_are_whole_lines(limit: int, expected: bytes, tmp_path: Path) -> None:
    assert read(written(tmp_path / "error.log", b"one\ntwo\nthree\n"), notes=Notes(), limit=limit)[1] == expected


def test_a_line_longer_than_a_block_is_cut_and_the_next_one_is_whole() -> None:
    found = b"".join(blocks(io.BytesIO(b"a\n" + b"x" * (10 * MIB) + b"\nnext\n"), left=20 * MIB))
    assert found.startswith(b"a\n")
    assert found.endswith(b"\nnext\n")
    assert len(found) < 2 * MIB


def test_a_log_that_is_cut_while_it_is_read_ends_there() -> None:
    assert list(blocks(io.BytesIO(b"one\ntw"), left=1000)) == [b"one\n", b"tw"]


def test_what_small_logs_leave_goes_to_large_ones() -> None:
    allowance = Allowance(limit=100, logs=8)
    shares = []
    for size in (1, 1, 1, 1, 1, 1, 500, 500):
        shares.append(allowance.share())
        allowance.spend(min(size, shares[-1]))
    assert shares[0] == 50
    assert shares[-2:] == [100, 100]


def test_a_log_that_shares_its_file_is_read_once(tmp_path: Path) -> None:
    log = written(tmp_path / "error.log", line(10))
    os.link(log, tmp_path / "error.log.1")
    assert read(log, notes=Notes())[0].files == [str(log)]
