# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.sre.bad_gateway.plugins.module_utils._change import _journal, _rollback
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._systemd import SystemdError
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._unit_files import HEADER, Override
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._unit_override import Activation, apply
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._unit_runs import Wanted, ensure
from ansible_collections.sre.bad_gateway.tests.unit.plugins.module_utils._change._systemd_double import Systemd

APP = "app.service"
OVERRIDE = Override(APP, "test", {"Service": {"ExecStart": "/bin/app --new"}})
PASSIVE, RESTART, RELOAD = Activation(), Activation("restart"), Activation("reload")


def test_nothing_is_asked_of_systemd_about_a_hostile_name(systemd: Systemd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(systemd, "_answer", lambda *_unused: pytest.fail("it was asked"))
    with pytest.raises(SystemdError, match="no unit's full name"):
        apply(Override("../../x.service", "a", {}), PASSIVE, check_mode=False)


def test_it_is_written_and_read_once_and_the_second_time_nothing_is_done(systemd: Systemd) -> None:
    systemd.add(APP, running=True)
    first = apply(OVERRIDE, PASSIVE, check_mode=False)
    assert OVERRIDE.path.read_text() == HEADER + "\n[Service]\nExecStart=\nExecStart=/bin/app --new\n"
    assert (first.changes, systemd.asked) == ([str(OVERRIDE.path)], ["daemon-reload"])
    second = apply(OVERRIDE, RESTART, check_mode=False)
    assert (second.changes, systemd.asked) == ([], ["daemon-reload"])


@pytest.mark.parametrize(
    ("sections", "ties", "told"),
    [
        ({"Restart": "always"}, {"SourcePath": "/etc/init.d/app"}, r"\(it is made from /etc/init.d/app\), so Restart="),
        ({"Restart": "always"}, {}, "no process of it, so Restart= would never"),
        ({"Restart": "always"}, {"PIDFile": "/run/app.pid"}, None),
        ({"Restart": "always"}, {"GuessMainPID": "yes"}, None),
        ({"Restart": "always"}, {"Type": "simple"}, None),
        ({"Restart": "always", "PIDFile": "/run/app.pid"}, {}, None),
        ({"LimitNOFILE": "4096"}, {}, None),
    ],
)
def test_a_restart_that_would_never_come_is_refused(
    systemd: Systemd, sections: dict[str, str], ties: dict[str, str], told: str | None
) -> None:
    systemd.add(APP, running=True, **{"Type": "forking", "GuessMainPID": "no", **ties})
    override = Override(APP, "test", {"Service": sections})
    if told is None:
        assert apply(override, PASSIVE, check_mode=True).changed
        return
    with pytest.raises(SystemdError, match=told):
        apply(override, PASSIVE, check_mode=True)


@pytest.mark.parametrize("how", [RESTART, RELOAD], ids=["restart", "reload"])
def test_the_unit_takes_it_up_as_asked(systemd: Systemd, how: Activation) -> None:
    systemd.add(APP, running=True)
    assert apply(OVERRIDE, how, check_mode=True).changes == [str(OVERRIDE.path), f"{APP}: {how.action}"]
    assert systemd.asked == []
    assert apply(OVERRIDE, how, check_mode=False).changes == [str(OVERRIDE.path), f"{APP}: {how.action}"]
    assert [asked for asked in systemd.asked if asked in (f"restart {APP}", f"reload {APP}")] == [f"{how.action} {APP}"]


def test_one_that_does_not_come_back_is_as_before(systemd: Systemd) -> None:
    systemd.add(APP, running=True)
    systemd.broken[APP] = 1
    with pytest.raises(SystemdError, match=r"zz-bad-gateway-test.conf: taken back, .*its last journal lines"):
        apply(OVERRIDE, RESTART, check_mode=False)
    assert not OVERRIDE.path.parent.exists()
    assert systemd.is_running(APP)


def test_one_that_does_not_listen_has_its_former_drop_in_and_runs_with_it(systemd: Systemd) -> None:
    systemd.add(APP, running=True)
    former = Override(APP, "test", {"Service": {"Restart": "always"}})
    apply(former, PASSIVE, check_mode=False)
    systemd.asked.clear()
    how = Activation("restart", endpoints=[f"unix:{systemd.units}/nobody"], timeout=0)
    with pytest.raises(SystemdError, match="does not listen on unix:"):
        apply(OVERRIDE, how, check_mode=False)
    assert b"Restart=always" in former.path.read_bytes()
    assert systemd.asked == ["daemon-reload", f"reset-failed {APP}", f"restart {APP}"] * 2


def test_one_that_ended_meanwhile_is_started_once_by_a_rollback(systemd: Systemd) -> None:
    systemd.add(APP, running=True)
    apply(OVERRIDE, RESTART, check_mode=False)
    systemd.run(["systemctl", "stop", "--", APP])
    systemd.asked.clear()
    _rollback.roll_back(run_id="", force=False, check_mode=False)
    assert systemd.asked == ["daemon-reload", f"reset-failed {APP}", f"start {APP}"]


def test_one_that_the_run_enabled_too_takes_its_former_files_up(systemd: Systemd) -> None:
    systemd.add(APP, running=True)
    apply(OVERRIDE, RESTART, check_mode=False, run_id="r")
    ensure(Wanted(APP, enabled=True), check_mode=False, run_id="r")
    systemd.asked.clear()
    _rollback.roll_back(run_id="r", force=False, check_mode=False)
    assert systemd.asked[-1] == f"restart {APP}"


def test_one_that_did_not_run_is_stopped_by_a_rollback(systemd: Systemd) -> None:
    systemd.add(APP)
    apply(OVERRIDE, RESTART, check_mode=False)
    assert systemd.is_running(APP)
    _rollback.roll_back(run_id="", force=False, check_mode=False)
    assert (systemd.is_running(APP), OVERRIDE.path.exists()) == (False, False)
    assert systemd.asked[-2:] == ["daemon-reload", f"stop {APP}"]


def test_a_unit_that_is_not_there_is_named_or_left_out(systemd: Systemd) -> None:
    with pytest.raises(SystemdError, match="knows no such unit"):
        apply(OVERRIDE, PASSIVE, check_mode=False)
    optional = Override(APP, "test", OVERRIDE.sections, optional=True)
    assert apply(optional, PASSIVE, check_mode=False).changes == []
    assert (systemd.asked, _journal.finished()) == ([], [])
