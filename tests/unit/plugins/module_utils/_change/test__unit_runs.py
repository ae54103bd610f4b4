# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path
from typing import Callable

import pytest

from ansible_collections.sre.bad_gateway.plugins.module_utils._change import (
    _journal,
    _rollback,
    _unit_states,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._journal import UnitAction, UnitState
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._recovery import take_up_units
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._systemd import SystemdError
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._unit_runs import Wanted, ensure
from ansible_collections.sre.bad_gateway.tests.unit.plugins.module_utils._change._systemd_double import Systemd

APP = "app.service"


def roll_back(*, check_mode: bool = False) -> list[str]:
    changes: list[str] = _rollback.roll_back(run_id="", force=False, check_mode=check_mode).as_dict(diff=False)[
        "changes"
    ]
    return changes


def test_what_runs_and_is_enabled_is_left_alone(systemd: Systemd) -> None:
    systemd.add(APP, running=True)
    systemd.run(["systemctl", "enable", "--", APP])
    systemd.asked.clear()
    outcome = ensure(Wanted(APP, enabled=True), check_mode=False)
    assert (outcome.changes, systemd.asked, _journal.finished()) == ([], [], [])


def test_starting_and_enabling_are_taken_back(systemd: Systemd) -> None:
    systemd.add(APP)
    outcome = ensure(Wanted(APP, enabled=True), check_mode=False)
    assert outcome.changes == [f"{APP}: enable", f"{APP}: start"]
    assert (systemd.is_running(APP), systemd.is_enabled(APP)) == (True, True)
    expected = [f"{APP}: stopped again", f"{APP}: disabled again"]
    assert roll_back(check_mode=True) == expected
    assert (systemd.is_running(APP), systemd.is_enabled(APP)) == (True, True)
    assert roll_back() == expected
    assert (systemd.is_running(APP), systemd.is_enabled(APP)) == (False, False)
    assert list(systemd.units.iterdir()) == []
    assert roll_back() == []


def test_links_that_others_made_come_back_exactly(systemd: Systemd) -> None:
    systemd.add(APP, running=True)
    systemd.run(["systemctl", "enable", "--", APP])
    by_hand = systemd.units / "other.target.requires" / APP
    by_hand.parent.mkdir()
    by_hand.symlink_to("../../odd/app.service")
    before = _unit_states.links(APP)
    ensure(Wanted(APP, enabled=False), check_mode=False)
    assert list(_unit_states.links(APP)) == [str(by_hand)]
    assert roll_back() == [f"{APP}: enabled as before"]
    assert _unit_states.links(APP) == before


def test_links_of_an_init_script_come_back_too(
    systemd: Systemd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    level = tmp_path / "rc3.d"
    level.mkdir()
    was, becomes = level / "K01app", level / "S01app"
    was.symlink_to("../init.d/app")
    (level / "S01other").symlink_to("../init.d/other")

    def enable(verb: str, unit: str, act: Callable[[str, str], bool] = systemd._act) -> bool:
        if verb == "enable":
            was.rename(becomes)
        return act(verb, unit)

    monkeypatch.setattr(systemd, "_act", enable)
    systemd.add(APP, running=True)
    ensure(Wanted(APP, enabled=True), check_mode=False)
    assert becomes.is_symlink()
    assert roll_back() == [f"{APP}: disabled again"]
    assert sorted(path.name for path in level.iterdir()) == ["K01app", "S01other"]


def test_what_had_to_stop_for_it_runs_again(systemd: Systemd) -> None:
    systemd.add("old.service", running=True)
    systemd.add(APP, Conflicts="old.service shutdown.target")
    ensure(Wanted(APP), check_mode=False)
    assert not systemd.is_running("old.service")
    assert roll_back() == [f"{APP}: stopped again", "old.service: started again"]
    assert (systemd.is_running(APP), systemd.is_running("old.service")) == (False, True)


def test_what_was_started_along_is_stopped_and_what_ran_before_runs_on(systemd: Systemd) -> None:
    systemd.add("cache.service")
    systemd.add("database.service", running=True)
    systemd.add(APP, Requires="cache.service database.service")
    ensure(Wanted(APP), check_mode=False)
    roll_back()
    assert [systemd.is_running(unit) for unit in (APP, "cache.service", "database.service")] == [False, False, True]


def test_a_run_of_several_changes_is_taken_back_to_its_beginning(systemd: Systemd) -> None:
    systemd.add(APP)
    ensure(Wanted(APP, enabled=True), check_mode=False, run_id="r")
    ensure(Wanted(APP, enabled=False), check_mode=False, run_id="r")
    ensure(Wanted(APP, enabled=True), check_mode=False, run_id="r")
    assert roll_back() == [f"{APP}: stopped again", f"{APP}: disabled again"]


def test_the_beginning_of_a_run_counts_and_not_what_came_in_between(systemd: Systemd) -> None:
    systemd.add(APP)
    ensure(Wanted(APP, enabled=True), check_mode=False, run_id="r")
    ensure(Wanted(APP, enabled=False), check_mode=False, run_id="r")
    assert roll_back() == [f"{APP}: stopped again"]
    assert not systemd.is_enabled(APP)


def test_one_that_does_not_come_up_leaves_all_units_as_they_were(systemd: Systemd) -> None:
    systemd.add("old.service", running=True)
    systemd.add(APP, Conflicts="old.service")
    endpoint = f"unix:{systemd.units}/nobody.sock"
    with pytest.raises(SystemdError, match=r"after 0 s it does not listen on unix:.*its last journal lines"):
        ensure(Wanted(APP, endpoints=[endpoint], enabled=True, timeout=0), check_mode=False)
    assert (systemd.is_running(APP), systemd.is_enabled(APP)) == (False, False)
    assert systemd.is_running("old.service")


def test_check_mode_says_it_and_asks_only(systemd: Systemd) -> None:
    systemd.add(APP)
    outcome = ensure(Wanted(APP, enabled=True), check_mode=True)
    assert outcome.changes == [f"{APP}: enable", f"{APP}: start"]
    assert (systemd.asked, _journal.finished()) == ([], [])


def test_how_it_ended_is_kept_before_systemd_forgets_it(systemd: Systemd) -> None:
    systemd.add(APP)
    was = ensure(Wanted(APP), check_mode=False).was
    assert (was["state"], was["result"], was["exit_status"]) == ("inactive", "exit-code", 3)
    assert systemd.asked == [f"reset-failed {APP}", f"start {APP}"]


def test_one_whose_file_goes_is_stopped_while_systemd_still_knows_how(systemd: Systemd) -> None:
    systemd.add(APP, running=True)
    (systemd.units.parent / "vendor" / APP).unlink()
    assert take_up_units([UnitAction(APP)], [UnitState(APP, running=False)]) == []
    assert systemd.asked == [f"stop {APP}", "daemon-reload"]
