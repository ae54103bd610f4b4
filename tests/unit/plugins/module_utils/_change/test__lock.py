# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import fcntl
import json
import os
import signal
from pathlib import Path

import pytest

from ansible_collections.sre.bad_gateway.plugins.module_utils._change import _lock
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._errors import InterferenceError, JournalError
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._lock import turn


def test_one_change_at_a_time_and_the_other_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_lock, "_PATIENCE", 0)
    told = rf"by nginx_routes of run r1, process {os.getpid()}, since \d{{4}}-\d\d-\d\dT"
    with turn(module="nginx_routes", run_id="r1") as recovered:
        assert recovered == []
        with pytest.raises(InterferenceError, match=told), turn(module="rollback", run_id=""):
            pytest.fail("two had the turn")
    with turn(module="rollback", run_id=""):
        pass


def test_the_lock_of_a_dead_process_is_gone(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_lock, "_PATIENCE", 0)
    child = os.fork()
    if not child:
        with turn(module="nginx_routes", run_id="dead"):
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    assert json.loads((state / "lock").read_text())["run_id"] == "dead"
    with turn(module="nginx_routes", run_id="next"):
        assert json.loads((state / "lock").read_text())["run_id"] == "next"


def test_a_holder_that_says_nothing_is_no_riddle(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_lock, "_PATIENCE", 0)
    state.mkdir()
    with (state / "lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        with pytest.raises(InterferenceError, match="has not said its name"), turn(module="x", run_id=""):
            pytest.fail("two had the turn")


def test_check_mode_holds_and_makes_nothing(state: Path) -> None:
    with turn(module="x", run_id="", check_mode=True) as found:
        assert found == []
    assert not state.exists()


def test_nobody_else_may_look(state: Path) -> None:
    with turn(module="x", run_id=""):
        pass
    modes = {path.name: path.stat().st_mode & 0o777 for path in (state, state / "transactions", state / "lock")}
    assert modes == {"sre.bad_gateway": 0o700, "transactions": 0o700, "lock": 0o600}


def test_a_place_that_cannot_be_made_is_named(state: Path) -> None:
    state.parent.mkdir(exist_ok=True)
    state.write_text("a file")
    with pytest.raises(JournalError, match=r"sre\.bad_gateway.*nothing was changed"), turn(module="x", run_id=""):
        pytest.fail("it had the turn")
