# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a unit ended, and the cause that is named for it."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._units import EXEC_STATUSES
from ansible_collections.sre.bad_gateway.tests.unit.plugins.plugin_utils._diagnosis._builders import (
    SSHD,
    app,
    host_capacity,
    listener,
    nginx_unit,
    probe,
    stopped,
    stopped_app,
    unit,
)
from ansible_collections.sre.bad_gateway.tests.unit.plugins.plugin_utils._diagnosis._scenes import (
    TCP,
    findings,
    journal,
    named,
    only,
    said,
    shown,
    site,
)

FULL = {
    "mount": "/var",
    "paths": ["/var/log/nginx/error.log"],
    "size": 1000000,
    "free": 0,
    "inodes": 1000,
    "inodes_free": 900,
    "read_only": False,
}


def down(
    *, kind: str = "gunicorn", outcome: str = "refused", record: dict[str, Any] | None = None, **state: Any
) -> Any:
    """The shop's unit in that state, and nobody on its port."""
    values = {"active_state": "failed", "sub_state": "failed", "result": "exit-code", "exit_code": 1, **state}
    parts: dict[str, Any] = {
        "apps": [stopped_app(kind=kind)],
        "units": [stopped(**values), nginx_unit()],
        "probes": [probe(TCP, outcome)],
    }
    return site(**{**parts, **(record or {})})


LOOP: dict[str, Any] = {"active_state": "activating", "sub_state": "auto-restart", "restarts": 7}
STARTING = {**LOOP, "sub_state": "start", "result": "success", "exit_code": 0, "raw": {"ExecMainCode": "0"}}
GIVEN_UP: dict[str, Any] = {"restarts": 5, "restart": "always"}
STOPPED: dict[str, Any] = {"active_state": "inactive", "result": "success", "exit_code": 0}

CAUSES: dict[str, tuple[dict[str, Any], list[Any], str, bool]] = {
    # -- state of the unit; its journal; the cause; whether starting it is the right thing
    "stopped": (STOPPED, [], "app_not_running", True),
    "stopped, and an old boot error in its journal": (STOPPED, [said("gunicorn_boot_error")], "app_not_running", True),
    "failed once, nobody revives it": ({"restart": "no"}, [], "app_not_running", True),
    "masked": ({"load_state": "masked"}, [], "app_not_running", False),
    "given up, as the result says": ({"result": "start-limit-hit", "restart": "no"}, [], "app_start_limit_hit", False),
    "given up, as the journal says": ({"restart": "no"}, [said("systemd_start_limit")], "app_start_limit_hit", False),
    "given up, as it can only be": (GIVEN_UP, [], "app_start_limit_hit", False),
    "waits for its next start": (LOOP, [], "app_crash_loop", False),
    "is starting once more": ({**LOOP, "sub_state": "start"}, [], "app_crash_loop", False),
    "program not there": ({"exit_code": 203}, [], "app_exec_failed", False),
    "program not there, over and over": ({**LOOP, "exit_code": 203}, [], "app_exec_failed", False),
    "program not there, given up": ({**GIVEN_UP, "exit_code": 203}, [], "app_exec_failed", False),
    "program not there, while it is starting once more": (
        STARTING,
        [said("systemd_exec_failed", details={"EXEC": 13}), said("systemd_failed_result", details={"exit-code": 13})],
        "app_exec_failed",
        False,
    ),
    "program was not there once, while it is starting once more": (
        STARTING,
        [
            said("systemd_exec_failed", details={"EXEC": 1}, last="2026/11/21 02:59:50"),
            said("systemd_failed_result", details={"exit-code": 2}),
        ],
        "app_crash_loop",
        False,
    ),
    "program was not there, and somebody starts it anew": (
        {**STARTING, "restarts": 0},
        [said("systemd_exec_failed", details={"EXEC": 1}), said("systemd_failed_result", details={"exit-code": 1})],
        "app_not_running",
        True,
    ),
    "no memory, while it is starting once more": (
        STARTING,
        [said("systemd_failed_result", details={"oom-kill": 3})],
        "unit_killed_by_oom_policy",
        True,
    ),
    "no memory or something else, while it is starting once more": (
        STARTING,
        [said("systemd_failed_result", details={"oom-kill": 3, "exit-code": 1})],
        "app_crash_loop",
        False,
    ),
    "no memory before, while it waits for its next start": (
        {**LOOP, "raw": {"ExecMainCode": "1"}},
        [said("systemd_failed_result", details={"oom-kill": 3})],
        "app_crash_loop",
        False,
    ),
    "killed by a signal of that number": (
        {"exit_code": 203, "raw": {"ExecMainCode": "2"}},
        [],
        "app_not_running",
        True,
    ),
    "gunicorn's worker cannot boot": ({"exit_code": 3}, [], "gunicorn_boot_error", False),
    "gunicorn's app cannot be found": ({"exit_code": 4, **LOOP}, [], "gunicorn_boot_error", False),
    "a worker cannot boot, given up": (
        {**GIVEN_UP, "exit_code": 1},
        [said("gunicorn_boot_error"), said("systemd_start_limit")],
        "gunicorn_boot_error",
        False,
    ),
    "a boot error of another day": (
        {**LOOP, "raw": {"ExecMainExitTimestamp": "Sat 2026-11-21 02:59:00 UTC"}},
        [said("gunicorn_boot_error", last="2026/11/20 10:00:00")],
        "app_crash_loop",
        False,
    ),
    "port in use": (GIVEN_UP, [said("gunicorn_connection_in_use")], "app_port_conflict", False),
    "port in use, of Node.js": (LOOP, [said("node_eaddrinuse")], "app_port_conflict", False),
    "port in use, of a program that nobody knows": (LOOP, [said("port_in_use")], "app_port_conflict", False),
    "gunicorn's app cannot be loaded": (LOOP, [said("gunicorn_app_failed_to_load")], "gunicorn_boot_error", False),
    "no memory": ({"result": "oom-kill", "restart": "no"}, [], "unit_killed_by_oom_policy", True),
    "no space, says its journal": (GIVEN_UP, [said("no_space_left")], "disk_full", False),
}


@pytest.mark.parametrize(("state", "events", "cause", "automatic"), CAUSES.values(), ids=CAUSES)
def test_why_a_unit_does_not_run(state: dict[str, Any], events: list[Any], cause: str, automatic: bool) -> None:
    finding = only(down(record={"journals": [journal(*events)]}, **state))
    assert (finding.cause, finding.host, finding.severity) == (cause, "web1", "outage")
    assert finding.id == f"{cause}/web1/shop.service"
    assert finding.fix is not None
    assert (finding.fix.role, finding.fix.automatic) == ("supervision", automatic)
    (entry,) = finding.fix.variables["supervision_units"]
    assert (entry["unit"], entry["listens"]) == ("shop.service", [TCP])


ENDING: dict[str, Any] = {
    "active_state": "active",
    "sub_state": "running",
    "result": "success",
    "exit_code": 0,
    "restarts": 1,
    "active_since": "Sat 2026-11-21 03:00:05 UTC",
}


@pytest.mark.parametrize(
    ("listens", "last", "cause"),
    [
        ([], "2026/11/21 03:00:08", "gunicorn_boot_error"),
        ([], "2026/11/21 03:00:04", "endpoint_not_answering"),
        (["unix:/run/shop.sock"], "2026/11/21 03:00:08", "endpoint_not_answering"),
    ],
    ids=["it ends", "an earlier start failed", "it listens elsewhere"],
)
def test_gunicorn_that_ends_and_waits_for_its_last_worker_is_no_app_that_runs(
    listens: list[str], last: str, cause: str
) -> None:
    apps = [stopped_app(pids=[200], listens=listens)]
    record = {"apps": apps, "journals": [journal(said("gunicorn_boot_error", last=last))]}
    assert named(down(record=record, **ENDING)) == [(cause, "web1", "outage")]


def test_gunicorn_that_still_tries_to_bind_is_no_app_that_runs() -> None:
    stray = listener(TCP, unit="stray.service", process="peer")
    record = {
        "apps": [stopped_app(pids=[200])],
        "listeners": [stray],
        "probes": [probe(TCP, "bad_answer")],
        "journals": [journal(said("gunicorn_connection_in_use"))],
    }
    assert named(down(record=record, **ENDING)) == [("app_port_conflict", "web1", "outage")]


RESTARTS = {
    "one that systemd gives up within a second": ("on-failure", "100ms", "on-failure"),
    "one that waits": ("always", "2s", "unchanged"),
    "one that nobody revives": ("no", "100ms", "always"),
}


@pytest.mark.parametrize(("restart", "pause", "told"), RESTARTS.values(), ids=RESTARTS)
def test_what_the_role_is_told_about_restarts(restart: str, pause: str, told: str) -> None:
    fix = only(down(restart=restart, raw={"RestartUSec": pause})).fix
    assert fix is not None
    assert fix.variables["supervision_units"][0]["restart"] == told


UNFOLLOWED = {"Type": "forking", "PIDFile": "", "GuessMainPID": "no"}


@pytest.mark.parametrize(
    ("raw", "told"),
    [(UNFOLLOWED, "unchanged"), ({**UNFOLLOWED, "PIDFile": "/run/shop.pid"}, "always")],
    ids=["as of an old init script", "by its file"],
)
def test_systemd_is_not_told_to_revive_what_it_does_not_follow(raw: dict[str, str], told: str) -> None:
    fix = only(down(restart="no", raw=raw)).fix
    assert fix is not None
    assert (fix.automatic, fix.variables["supervision_units"][0]["restart"]) == (True, told)


def test_who_decided_against_a_restart_is_not_overruled_when_the_app_is_started() -> None:
    fix = only(down(restart="no", unrevived_by="/etc/systemd/system/shop.service.d/override.conf")).fix
    assert fix is not None
    assert (fix.automatic, fix.variables["supervision_units"][0]["restart"]) == (True, "unchanged")


@pytest.mark.parametrize(("state", "said"), [("disabled", True), ("enabled", False), ("generated", False)])
def test_only_what_can_be_enabled_is_said_to_be(state: str, said: bool) -> None:
    fix = only(down(unit_file_state=state)).fix
    assert fix is not None
    assert ("enable shop.service at boot" in fix.summary) == said


def test_a_server_that_the_kernel_took_a_process_of_is_to_live_on() -> None:
    fix = only(down(result="oom-kill", raw={"OOMPolicy": "stop"})).fix
    assert fix is not None
    assert fix.variables["supervision_units"][0]["oom_policy"] == "continue"
    assert "live on when the kernel kills" in fix.summary


def test_exit_status_3_is_gunicorns_own_only_when_gunicorn_runs() -> None:
    assert named(down(kind="uvicorn", exit_code=3)) == [("app_not_running", "web1", "outage")]


@pytest.mark.parametrize("status", [200, 209, 216, 217, 226, 228, 233, 243])
def test_systemds_own_exit_statuses_are_told_by_name(status: int) -> None:
    assert EXEC_STATUSES[status] in shown(only(down(exit_code=status)))


def test_the_traceback_lies_beside_the_boot_error() -> None:
    record = {"journals": [journal(said("gunicorn_boot_error"), said("python_traceback"))]}
    finding = only(down(record=record, exit_code=3))
    assert "a line of python_traceback" in shown(finding)
    assert "a worker that fails to boot" in shown(finding)


def test_the_newest_lines_are_shown_where_nothing_was_recognised() -> None:
    record = {"journals": [journal(tail=["one", "two", "three", "four"])]}
    finding = only(down(record=record, **LOOP))
    assert [each.text for each in finding.evidence if each.kind == "journal"] == ["two", "three", "four"]


def test_a_full_disk_comes_before_what_follows_from_it() -> None:
    record = {"capacity": host_capacity(filesystems=[FULL]), "journals": [journal(said("systemd_start_limit"))]}
    finding = only(down(record=record, **GIVEN_UP))
    assert finding.cause == "disk_full"
    assert "/var is full: 0 of 1000000 bytes are free" in shown(finding)


@pytest.mark.parametrize(
    ("paths", "role"), [(["/var/log/nginx/error.log", "/run"], "log_rotation"), (["/var/www"], "supervision")]
)
def test_logs_on_the_full_disk_are_offered_for_rotation(paths: list[str], role: str) -> None:
    record = {"capacity": host_capacity(filesystems=[{**FULL, "paths": paths}])}
    fix = only(down(record=record, **GIVEN_UP)).fix
    assert fix is not None
    assert (fix.role, fix.automatic) == (role, False)
    if role == "log_rotation":
        assert fix.variables == {"log_rotation_logs": [{"name": "shop", "paths": ["/var/log/nginx/error.log"]}]}
    else:
        assert "/var" in fix.summary


NOT_FULL = {
    "room": {**FULL, "free": 500000},
    "read-only, as an image is": {**FULL, "read_only": True},
    "one without inodes": {**FULL, "free": 500000, "inodes": 0, "inodes_free": 0},
}


@pytest.mark.parametrize("filesystem", NOT_FULL.values(), ids=NOT_FULL)
def test_a_disk_with_room_is_no_cause(filesystem: dict[str, Any]) -> None:
    record = {"capacity": host_capacity(filesystems=[filesystem])}
    assert named(down(record=record, **GIVEN_UP)) == [("app_start_limit_hit", "web1", "outage")]


def test_no_inodes_left_is_a_full_disk_too() -> None:
    record = {"capacity": host_capacity(filesystems=[{**FULL, "free": 500000, "inodes_free": 0}])}
    assert named(down(record=record, **GIVEN_UP)) == [("disk_full", "web1", "outage")]


def test_a_user_that_does_not_exist_is_not_the_disks_fault() -> None:
    record = {"capacity": host_capacity(filesystems=[FULL])}
    assert named(down(record=record, exit_code=217)) == [("app_exec_failed", "web1", "outage")]


THIEF = listener(TCP, unit="stray.service", process="python3", pid=77)


def test_who_holds_the_port_is_named() -> None:
    finding = only(down(outcome="closed", record={"listeners": [SSHD, THIEF]}, **LOOP))
    assert (finding.cause, finding.severity) == ("app_port_conflict", "outage")
    assert f"{TCP} is held by python3 (pid 77) of stray.service" in shown(finding)


def test_a_wildcard_holds_the_port_as_well() -> None:
    wide = listener("tcp:0.0.0.0:8000", unit=None, process="node", pid=5)
    assert named(down(outcome="mismatch", record={"listeners": [SSHD, wide]}, **LOOP))[0][0] == "app_port_conflict"


@pytest.mark.parametrize(
    ("state", "cause"),
    [(LOOP, "app_crash_loop"), ({"restarts": 7}, "app_port_conflict")],
    ids=["of a unit that comes and goes", "of one that is gone"],
)
def test_a_listener_whose_process_was_not_seen(state: dict[str, Any], cause: str) -> None:
    unseen = listener(TCP, unit=None, process=None, pid=None)
    assert named(down(outcome="closed", record={"listeners": [SSHD, unseen]}, **state))[0][0] == cause


def test_a_holder_that_answers_serves_in_the_apps_stead() -> None:
    finding = only(down(outcome="answered", record={"listeners": [SSHD, THIEF]}, **GIVEN_UP))
    assert (finding.cause, finding.severity, finding.fix) == ("app_port_conflict", "intermittent", None)


def test_a_spare_unit_of_the_same_port_is_no_conflict() -> None:
    units = [unit(), stopped("old.service", unit_file_state="disabled"), nginx_unit()]
    assert findings(site(apps=[app(), stopped_app(unit="old.service")], units=units)) == ()


def test_a_listener_in_a_container_holds_no_port() -> None:
    inside = listener(TCP, unit="docker-1.scope", network_namespace="net:[2]")
    assert named(down(record={"listeners": [SSHD, inside]}, **LOOP)) == [("app_crash_loop", "web1", "outage")]


def test_a_unit_between_two_deaths_may_listen() -> None:
    """The listener is there, a worker never answers, and it was started for the fourth time a moment ago."""
    young = unit(restarts=4, active_since="Sat 2026-11-21 03:00:05 UTC")
    assert named(site(units=[young, nginx_unit()], probes=[probe(TCP, "reset")])) == [
        ("app_crash_loop", "web1", "outage")
    ]


def test_a_unit_that_was_restarted_long_ago_is_not_looping() -> None:
    old = unit(restarts=4, active_since="Sat 2026-11-21 01:00:05 UTC")
    assert named(site(units=[old, nginx_unit()], probes=[probe(TCP, "reset")])) == [
        ("endpoint_not_answering", "web1", "outage")
    ]


def test_a_dying_app_of_unknown_address_is_likely_the_one() -> None:
    apps = [stopped_app(None, kind="node")]
    finding = only(down(record={"apps": apps, "listeners": [SSHD]}, **LOOP))
    assert (finding.cause, finding.confidence) == ("app_crash_loop", "likely")
    assert finding.fix is not None
    assert not finding.fix.automatic
