# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.sre.bad_gateway.plugins.module_utils._change import _journal, _perform, _systemd
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._errors import (
    ChangeError,
    InterferenceError,
    JournalError,
    StoppedError,
    WriteError,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._journal import Edit, Plan, UnitAction
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._perform import perform
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._recovery import recover
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._replace import install, sync_directory
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._writable import require_writable
from ansible_collections.sre.bad_gateway.tests.unit.plugins.module_utils._nobody import as_nobody

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount and fix files")


def nothing() -> None:
    """Nothing has to be accepted or taken up."""


def change(*edits: Edit, run_id: str = "") -> None:
    perform(Plan(module="test", run_id=run_id, edits=edits), accept=nothing, take_up=nothing)


def state_of(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.rglob("*") if path.is_file()}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "place").mkdir()
    (tmp_path / "place" / "a").write_bytes(b"old")
    (tmp_path / "place" / "b").write_bytes(b"old")
    return tmp_path / "place"


def edits_in(place: Path) -> list[Edit]:
    return [
        Edit(str(place / "a"), old=b"old", new=b"new"),
        Edit(str(place / "b"), old=b"old", new=None),
        Edit(str(place / "sub" / "c"), old=None, new=b"new"),
    ]


def test_files_are_changed_made_and_removed(place: Path) -> None:
    change(*edits_in(place), run_id="r")
    assert state_of(place) == {"a": b"new", "c": b"new"}
    (journal,) = _journal.finished()
    assert (journal.state, journal.record.run_id, journal.record.module) == ("committed", "r", "test")
    assert all(path.stat().st_mode & 0o077 == 0 for path in [journal.directory, *journal.directory.rglob("*")])


@pytest.mark.parametrize("step", ["accept", "take_up"])
def test_any_failure_puts_everything_back(place: Path, step: str) -> None:
    before = state_of(place)

    def fails() -> None:
        assert state_of(place) == {"a": b"new", "c": b"new"}
        raise ChangeError("no")

    with pytest.raises(ChangeError, match=r"^no$"):
        perform(Plan("test", "", edits_in(place)), **{"accept": nothing, "take_up": nothing, step: fails})
    assert state_of(place) == before
    assert not (place / "sub").exists()
    assert [one.state for one in _journal.finished()] == ["rolled_back"]


def test_what_was_taken_up_and_cannot_be_recorded_is_put_back_and_taken_up_again(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    before = state_of(place)

    def fails_to_commit(directory: Path) -> None:
        if (directory / "state.committed").exists():
            raise OSError(5, "Input/output error")
        sync_directory(directory)

    monkeypatch.setattr(_journal, "sync_directory", fails_to_commit)
    monkeypatch.setattr(_systemd, "daemon_reload", lambda: events.append(f"daemon-reload with {state_of(place)}"))
    plan = Plan("test", "", edits_in(place), units=[UnitAction("a.service")])
    with pytest.raises(JournalError, match="Input/output error; it cannot be recorded as committed"):
        perform(plan, accept=nothing, take_up=nothing)
    assert state_of(place) == before
    assert events == [f"daemon-reload with {before}"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_puts_everything_back(place: Path, number: signal.Signals) -> None:
    before, handler = state_of(place), signal.getsignal(number)
    with pytest.raises(StoppedError, match=number.name):
        perform(Plan("test", "", edits_in(place)), accept=lambda: os.kill(os.getpid(), number), take_up=nothing)
    assert state_of(place) == before
    assert signal.getsignal(number) is handler


def test_what_was_edited_since_it_was_read_is_not_touched(place: Path) -> None:
    (place / "b").write_bytes(b"mine")
    with pytest.raises(InterferenceError, match="b: somebody edited it"):
        change(*edits_in(place))
    assert state_of(place) == {"a": b"old", "b": b"mine"}
    assert _journal.finished() == _journal.unfinished() == []


def test_a_link_is_followed_and_stays_but_is_not_removed(place: Path) -> None:
    (place / "link").symlink_to("a")
    with pytest.raises(WriteError, match=r"link: it is a symbolic link.*name .*/a"):
        change(Edit(str(place / "link"), old=b"old", new=None))
    change(Edit(str(place / "link"), old=b"old", new=b"new"))
    assert (place / "link").is_symlink()
    assert (place / "a").read_bytes() == b"new"


def killed(place: Path) -> None:
    """All is written when the process is killed."""

    def kill() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if not child:
        perform(Plan("nginx_routes", "r9", edits_in(place)), accept=kill, take_up=nothing)
    os.waitpid(child, 0)


def test_what_was_edited_after_a_crash_is_refused_by_name_and_kept_until_forced(place: Path) -> None:
    killed(place)
    (place / "a").write_bytes(b"mine")
    for _attempt in range(2):
        with pytest.raises(InterferenceError, match=r"place/a: edited since nginx_routes of .*\(run r9\) was killed"):
            recover()
        assert state_of(place) == {"a": b"mine", "c": b"new"}
    (line,) = recover(force=True)
    assert "took back nginx_routes" in line
    assert state_of(place) == {"a": b"old", "b": b"old"}


def test_only_what_cannot_be_read_of_an_unfinished_change_stops_the_next(place: Path) -> None:
    change(Edit(str(place / "a"), old=b"old", new=b"new"))
    (_journal.finished()[0].directory / "journal.json").write_text("{")
    change(Edit(str(place / "a"), old=b"new", new=b"newer"))
    (place / "a").write_bytes(b"old")
    killed(place)
    (journal,) = _journal.unfinished()
    (journal.directory / "journal.json").write_text('{"schema": 99}')
    with pytest.raises(JournalError, match=r"schema 99, expected 1.*move it away"):
        recover()


def test_a_bounded_number_of_runs_is_kept(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_journal, "KEPT_RUNS", 2)
    path, content = str(place / "a"), b"old"
    for run in ("one", "two", "two", "three"):
        change(Edit(path, old=content, new=content + b"."), run_id=run)
        content += b"."
    assert [one.record.run_id for one in _journal.finished()] == ["two", "two", "three"]
    ids = [one.record.id for one in _journal.finished()]
    assert ids == sorted(set(ids))


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system that has room for some pages only."""
    directory = tmp_path / "small"
    directory.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", directory], capture_output=True, check=False, text=True
    )
    if done.returncode:
        pytest.skip(f"needs a full file system, and this container may mount none: {done.stderr.strip()}")
    try:
        yield directory
    finally:
        subprocess.run(["umount", directory], check=True)


@ROOT_ONLY
def test_a_full_disk_changes_nothing(place: Path, small: Path) -> None:
    (small / "z").write_bytes(b"old")
    edits = [Edit(str(place / "a"), old=b"old", new=b"new"), Edit(str(small / "z"), old=b"old", new=b"n" * 100_000)]
    with pytest.raises(WriteError, match="small/z: No space left on device; make space"):
        change(*edits)
    assert (place / "a").read_bytes() == (small / "z").read_bytes() == b"old"
    assert sorted(path.name for path in [*small.iterdir(), *place.iterdir()]) == ["a", "b", "z"]
    assert _journal.unfinished() == []


@ROOT_ONLY
def test_no_space_for_the_record_changes_nothing(place: Path, small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_journal, "state_directory", lambda: small / "state")
    (place / "a").write_bytes(b"o" * 100_000)
    with pytest.raises(JournalError, match=r"No space left on device.*nothing was changed"):
        change(Edit(str(place / "a"), old=b"o" * 100_000, new=b"new"))
    assert (place / "a").read_bytes() == b"o" * 100_000
    assert list((small / "state" / "transactions").iterdir()) == []


@ROOT_ONLY
def test_a_read_only_file_system_is_refused_first(place: Path, small: Path) -> None:
    (small / "z").write_bytes(b"old")
    subprocess.run(["mount", "-o", "remount,ro", small], check=True)
    with pytest.raises(WriteError, match="small/z: its file system is read-only; mount it writable"):
        change(*edits_in(place), Edit(str(small / "z"), old=b"old", new=b"new"))
    assert state_of(place) == {"a": b"old", "b": b"old"}
    assert _journal.finished() == []


@ROOT_ONLY
@pytest.mark.parametrize("made", [True, False], ids=["where records are", "where there is none yet"])
def test_who_only_asks_is_told_that_no_record_can_be_kept(
    place: Path, small: Path, made: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_journal, "state_directory", lambda: small / "state")
    (small / "state" / "transactions").mkdir(parents=made) if made else None
    require_writable(edits_in(place))
    subprocess.run(["mount", "-o", "remount,ro", small], check=True)
    with pytest.raises(JournalError, match=r"small.*: Read-only file system; what would .* nothing was changed"):
        require_writable(edits_in(place))
    require_writable([])


@ROOT_ONLY
def test_a_mounted_file_is_refused_first(place: Path, tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(b"old")
    done = subprocess.run(
        ["mount", "--bind", tmp_path / "other", place / "b"], capture_output=True, check=False, text=True
    )
    if done.returncode:
        pytest.skip(f"needs a mounted file, and this container may mount none: {done.stderr.strip()}")
    try:
        with pytest.raises(WriteError, match="b: it is a mount point"):
            change(*edits_in(place))
    finally:
        subprocess.run(["umount", place / "b"], check=True)


@ROOT_ONLY
@pytest.mark.parametrize(("name", "flag", "word"), [("a", "i", "immutable"), (".", "a", "append-only")])
def test_a_fixed_file_or_directory_is_refused_first(place: Path, name: str, flag: str, word: str) -> None:
    if shutil.which("chattr") is None:
        pytest.skip("needs chattr: apt-get install e2fsprogs")
    done = subprocess.run(["chattr", f"+{flag}", place / name], capture_output=True, check=False, text=True)
    if done.returncode:
        pytest.skip(f"needs a file system of which chattr can fix files, as ext4: {done.stderr.strip()}")
    try:
        with pytest.raises(WriteError, match=f"place/.*: .*place.* is {word}; `chattr -{flag} "):
            change(*edits_in(place))
        assert state_of(place) == {"a": b"old", "b": b"old"}
    finally:
        subprocess.run(["chattr", f"-{flag}", place / name], check=True)


@pytest.fixture
def public() -> Iterator[Path]:
    """A directory that every user reaches: pytest's own are for their owner."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        yield Path(directory)


def refusal_of(edit: Edit) -> str:
    with pytest.raises(WriteError) as refused:
        require_writable([edit])
    return str(refused.value)


@pytest.mark.parametrize(
    ("mode", "name"),
    [pytest.param(0o555, "a", id="not to write in"), pytest.param(0o000, "within/a", id="not even to look into")],
)
def test_a_directory_that_is_not_ours_is_refused_first(
    public: Path, mode: int, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = public / "ours", public / "theirs"
    ours.mkdir()
    ours.chmod(0o777)
    (theirs / "within").mkdir(parents=True)
    theirs.chmod(mode)
    monkeypatch.setattr(_journal, "state_directory", lambda: ours / "state")
    try:
        said = as_nobody(lambda: refusal_of(Edit(str(theirs / name), old=None, new=b"new")))
    finally:
        theirs.chmod(0o755)
    assert said == f"{theirs / name}: {theirs} is not writable for this user; run with become"


def test_a_rename_that_fails_half_way_is_taken_back(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = state_of(place)

    def denied(temporary: Path, path: Path) -> None:
        if path.name == "a":
            raise PermissionError(1, "Operation not permitted")
        install(temporary, path)

    monkeypatch.setattr(_perform, "install", denied)
    with pytest.raises(WriteError, match="a: Operation not permitted; it has to be writable"):
        change(*edits_in(place))
    assert state_of(place) == before
