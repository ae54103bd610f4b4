# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from ansible_collections.sre.bad_gateway.plugins.module_utils._change import _journal, _rollback, _systemd
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._errors import InterferenceError, JournalError
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._journal import Edit, Plan, UnitAction
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._perform import perform
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._rollback import Result
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._systemd import SystemdError
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._validate import Nginx


def change(run_id: str, path: Path, new: bytes | None, *, units: tuple[UnitAction, ...] = ()) -> None:
    edit = Edit(str(path), old=path.read_bytes() if path.exists() else None, new=new)
    perform(Plan("nginx_routes", run_id, [edit], units=units), accept=lambda: None, take_up=lambda: None)


def roll_back(run_id: str = "", *, force: bool = False, check_mode: bool = False) -> Result:
    return _rollback.roll_back(run_id=run_id, force=force, check_mode=check_mode)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "place" / "a"
    path.parent.mkdir()
    path.write_bytes(b"0")
    path.chmod(0o640)
    return path


def test_a_run_is_taken_back_whole_and_once(file: Path) -> None:
    made = file.parent / "sub" / "made"
    change("r", file, b"1")
    change("r", made, b"x")
    change("r", file, None)
    result = roll_back()
    shown = result.as_dict(diff=True)
    assert (shown["changed"], shown["run_id"], len(shown["transactions"])) == (True, "r", 3)
    assert sorted(shown["changes"]) == [f"{file}: as before the run", f"{made}: removed"]
    assert [(one["before"], one["after"]) for one in shown["diff"]] == [("", "0"), ("x", "")]
    assert file.read_bytes() == b"0"
    assert file.stat().st_mode & 0o777 == 0o640
    assert not made.parent.exists()
    again = roll_back().as_dict(diff=False)
    assert (again["changed"], again["run_id"], again["transactions"]) == (False, "r", [])


def test_runs_that_are_still_in_force_say_so(file: Path) -> None:
    for number in range(3):
        change(f"r{number}/part", file.parent / str(number), b"x")
    roll_back("r1")
    told = {one["run_id"]: one["in_force"] for one in roll_back("r3").as_dict(diff=False)["runs"] if one["named"]}
    assert told == {"r2": True, "r1": False, "r0": True}


def test_check_mode_shows_the_same_and_changes_nothing(file: Path, state: Path) -> None:
    change("r", file, b"1")
    before = sorted(state.rglob("*"))
    shown = roll_back(check_mode=True).as_dict(diff=True)
    assert file.read_bytes() == b"1"
    assert sorted(state.rglob("*")) == before
    done = roll_back().as_dict(diff=True)
    assert shown == done


def test_a_run_is_chosen_by_name_and_is_the_last_one_otherwise(file: Path) -> None:
    other = file.parent / "b"
    change("first", file, b"1")
    change("second", other, b"x")
    assert roll_back("first").run_id == "first"
    assert (file.read_bytes(), other.read_bytes()) == (b"0", b"x")
    assert roll_back().run_id == "second"
    assert not other.exists()
    assert roll_back("no such run").as_dict(diff=False)["changed"] is False


def test_a_part_of_a_run_is_taken_back_alone_or_with_it(file: Path) -> None:
    other, third = file.parent / "b", file.parent / "c"
    change("r/one", file, b"1")
    change("r/two", other, b"x")
    change("r/two", third, b"x")
    roll_back("r/two")
    assert (file.read_bytes(), other.exists(), third.exists()) == (b"1", False, False)
    change("r/two", other, b"x")
    result = roll_back()
    assert (result.run_id, len(result.journals)) == ("r", 2)
    assert (file.read_bytes(), other.exists()) == (b"0", False)


def test_nothing_on_record_is_nothing_to_do() -> None:
    assert roll_back().as_dict(diff=True) == {
        "changed": False,
        **{name: [] for name in ("changes", "runs", "transactions", "files", "units", "recovered", "diff")},
        "run_id": "",
    }


def test_a_user_who_changed_nothing_is_told_of_what_root_changed(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_journal, "_ROOT", str(tmp_path / "roots"))
    assert roll_back().run_id == ""
    (tmp_path / "roots").mkdir()
    with pytest.raises(JournalError, match="run with become"):
        roll_back(check_mode=True)
    change("own", file, b"1")
    assert roll_back().run_id == "own"


def test_the_runs_on_record_are_told_whatever_was_taken_back(file: Path) -> None:
    change("first/app", file, b"1")
    change("second", file, b"2")
    change("first/nginx", file, b"3")
    roll_back("first/nginx")
    runs = roll_back("?", check_mode=True).as_dict(diff=False)["runs"]
    assert [(run["named"], run["rollback"]) for run in runs] == [(False, True), (True, False), (True, False)]
    assert [run["run_id"] for run in runs[1:]] == ["first", "second"]
    started = {one.record.run_id: one.record.started for one in _journal.finished()}
    assert runs[1]["changed_at"] == started["first/nginx"]


def test_a_rollback_can_be_taken_back_by_name(file: Path) -> None:
    change("r", file, b"1")
    roll_back()
    roll_back(_journal.finished()[-1].record.run_id)
    assert file.read_bytes() == b"1"
    roll_back("r")
    assert file.read_bytes() == b"0"


EDITED = {"edited": b"mine", "removed": None}


@pytest.mark.parametrize("content", EDITED.values(), ids=EDITED.keys())
@pytest.mark.parametrize("check_mode", [True, False])
def test_what_somebody_edited_since_is_refused_by_name_unless_forced(
    file: Path, content: bytes | None, check_mode: bool
) -> None:
    other = file.parent / "b"
    change("r", file, b"1")
    change("r", other, b"x")
    file.unlink()
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(InterferenceError, match=f"^{file}: edited since the run, nothing was taken back"):
        roll_back(check_mode=check_mode)
    assert other.read_bytes() == b"x"
    roll_back(force=True)
    assert file.read_bytes() == b"0"
    assert file.stat().st_mode & 0o777 == 0o640
    assert not other.exists()


@pytest.mark.parametrize("later", [(), ("2",)], ids=["after the run", "in its middle"])
def test_another_run_that_changed_a_file_since_is_named(file: Path, later: tuple[str, ...]) -> None:
    change("r", file, b"1")
    change("other", file, b"theirs")
    for content in later:
        change("r", file, content.encode())
    said = rf"^{file}: changed since by nginx_routes of .* \(run other\), nothing was taken back"
    with pytest.raises(InterferenceError, match=said):
        roll_back("r")
    if not later:
        roll_back("other")
        roll_back("r")
        assert file.read_bytes() == b"0"


def test_a_run_before_it_did_not_edit_what_somebody_edited_since(file: Path) -> None:
    change("r", file, b"1")
    roll_back()
    change("again", file, b"1")
    file.write_bytes(b"mine")
    with pytest.raises(InterferenceError, match=f"^{file}: edited since the run"):
        roll_back()


def test_an_edit_between_two_changes_of_the_run_is_one_too(file: Path) -> None:
    change("r", file, b"1")
    file.write_bytes(b"mine")
    change("r", file, b"2")
    with pytest.raises(InterferenceError, match=str(file)):
        roll_back()
    assert file.read_bytes() == b"2"


def test_units_read_their_files_again_and_one_that_was_restarted_is_restarted(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    monkeypatch.setattr(_systemd, "daemon_reload", lambda: done.append("daemon-reload"))
    monkeypatch.setattr(_systemd, "act", lambda *given: done.append(" ".join(given)))
    change("r", file, b"1", units=(UnitAction("a.service", "restart"),))
    change("r", file, b"2", units=(UnitAction("a.service"), UnitAction("b.service")))
    assert [one.unit for one in roll_back().units] == ["a.service", "b.service"]
    assert done == ["daemon-reload", "restart a.service"]


def test_a_unit_that_does_not_start_as_it_was_is_told_and_its_files_are_back_all_the_same(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(action: str, unit: str) -> None:
        raise SystemdError(f"{action} {unit}: no")

    monkeypatch.setattr(_systemd, "daemon_reload", lambda: None)
    monkeypatch.setattr(_systemd, "act", fails)
    change("r", file, b"1", units=(UnitAction("a.service", "restart"),))
    assert roll_back().as_dict(diff=False)["changes"] == [f"{file}: as before the run", "restart a.service: no"]
    assert file.read_bytes() == b"0"


def test_nginx_that_the_run_had_started_is_not_asked_to_reload_once_it_is_stopped_again(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = Nginx("n", binary="/bin/true", config=str(file), prefix="/", pid=1, unit="n.service")
    found = [running]
    reloaded: list[int | None] = []

    def stop(*_args: object) -> list[str]:
        found[:] = [replace(running, pid=None)]
        return []

    monkeypatch.setattr(_rollback, "nginx_instances", lambda _config: found)
    monkeypatch.setattr(_rollback, "take_up_units", stop)
    monkeypatch.setattr(_rollback, "reload", lambda nginx: reloaded.append(nginx.pid))
    plan = Plan("nginx_routes", "r", [Edit(str(file), old=b"0", new=b"1")], nginx=[running])
    perform(plan, accept=lambda: None, take_up=lambda: None)
    roll_back()
    assert (reloaded, file.read_bytes()) == ([None], b"0")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_the_owner_comes_back_too(file: Path) -> None:
    os.chown(file, 12345, 54321)
    change("r", file, None)
    roll_back()
    assert (file.stat().st_uid, file.stat().st_gid) == (12345, 54321)


def test_a_part_of_a_run_can_be_taken_back_alone_and_the_run_takes_back_all_of_them(file: Path) -> None:
    other, third = file.parent / "b", file.parent / "c"
    change("run/app", other, b"x")
    change("run/nginx", file, b"1")
    change("run2/nginx", third, b"x")
    assert roll_back("run/nginx").as_dict(diff=False)["files"] == [str(file)]
    assert roll_back("run").as_dict(diff=False)["files"] == [str(other)]
    last = roll_back()
    assert (last.run_id, last.as_dict(diff=False)["files"]) == ("run2", [str(third)])
