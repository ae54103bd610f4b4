# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Compressing logs on a full disk: nothing lost, whatever happens in between."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest

from ansible_collections.sre.bad_gateway.plugins.module_utils._change import _make_room
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._make_room import (
    RoomError,
    compress,
    finish,
    left_over,
    nearly_full,
    worth_compressing,
)

LINES = b"GET /shop HTTP/1.1 200\n" * 1000


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(_make_room, "_spool_files", lambda aside: iter([tmp_path / "spool" / f"{aside.name}.gz"]))
    path = tmp_path / "logs" / "access.log"
    path.parent.mkdir()
    path.write_bytes(LINES)
    return path


def content(path: Path) -> bytes:
    with gzip.open(str(path)) as packed:
        return packed.read()


def names(path: Path) -> list[str]:
    return sorted(one.name for one in path.parent.iterdir())


def test_a_log_is_exchanged_for_its_copy_once_its_program_let_go(log: Path) -> None:
    writer = log.open("ab")

    def reopen() -> None:
        writer.write(b"the last line of the old log\n")
        writer.close()
        log.write_bytes(b"the first of the new\n")

    packed = compress(log, reopen=reopen)
    assert packed.name == "access.log.room-1.gz"
    assert content(packed) == LINES + b"the last line of the old log\n"
    assert log.read_bytes() == b"the first of the new\n"
    assert names(log) == ["access.log", "access.log.room-1.gz"]
    assert compress(log, reopen=lambda: None).name == "access.log.room-2.gz"


def test_a_program_that_never_reopens_keeps_its_file(log: Path) -> None:
    number = log.stat().st_ino
    packed = compress(log, reopen=None)
    assert content(packed) == LINES
    assert (log.stat().st_ino, log.stat().st_size) == (number, 0)


def test_a_log_that_is_still_written_to_is_not_given_away(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_make_room, "_PATIENCE", 0.2)
    with log.open("ab"), pytest.raises(RoomError, match=f"process {os.getpid()} still writes to it"):
        compress(log, reopen=lambda: None)
    aside = log.parent / "access.log.room-1"
    assert aside.read_bytes() == LINES
    assert left_over(log) == [aside]
    assert content(finish(aside)) == LINES
    assert left_over(log) == []


def test_a_copy_that_was_not_brought_back_is_brought_back(log: Path) -> None:
    aside = log.parent / "access.log.room-1"
    log.rename(aside)
    spool = next(_make_room._spool_files(aside))
    spool.parent.mkdir()
    _make_room._spool(aside, aside)
    aside.unlink()
    assert left_over(log) == [aside]
    assert content(finish(aside)) == LINES
    assert not spool.exists()


def test_a_copy_that_cannot_be_made_leaves_the_log(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_unused: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(_make_room, "_pour", full)
    with pytest.raises(RoomError, match=r"access.log: cannot be compressed \(No space left on device\)"):
        compress(log, reopen=None)
    assert log.read_bytes() == LINES
    assert names(log) == ["access.log"]
    assert list((log.parent.parent / "spool").iterdir()) == []


def test_a_copy_that_reads_differently_is_no_copy(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pour = _make_room._pour
    sums = iter([(1, 1), (1, 2)])
    monkeypatch.setattr(_make_room, "_pour", lambda chunks, into: (pour(chunks, into), next(sums))[1])
    with pytest.raises(RoomError, match="reads differently"):
        compress(log, reopen=None)
    assert log.read_bytes() == LINES


def test_only_large_logs_on_full_file_systems_are_worth_it(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert nearly_full(log, 0)
    assert not nearly_full(log, 101)
    assert not worth_compressing(log, 0)
    monkeypatch.setattr(_make_room, "WORTH", len(LINES))
    assert worth_compressing(log, 0)
    assert not worth_compressing(log, 101)
    link = log.parent / "link.log"
    link.symlink_to(log)
    assert not worth_compressing(link, 0)
