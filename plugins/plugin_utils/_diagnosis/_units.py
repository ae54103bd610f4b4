# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Why a unit does not run: what systemd, its journal and the disk say about how it ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, Sequence

from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import JournalEvent, Listener, Unit
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis import _disk, _journals
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._clock import seconds_ago, seconds_between
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._fleet import Fleet
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._model import Evidence, Fix
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._supervision import REVIVING

#: Exit statuses of systemd's own, set before the unit's program runs (systemd.exec(5)), and what they are about.
EXEC_STATUSES = {
    200: "CHDIR: its WorkingDirectory= cannot be entered",
    201: "NICE: its Nice= cannot be set",
    202: "FDS: its file descriptors cannot be prepared",
    203: "EXEC: its program cannot be run; the path, the interpreter in its first line, or the execute permission",
    205: "LIMITS: a Limit...= cannot be set",
    206: "OOM_ADJUST: its OOMScoreAdjust= cannot be set",
    208: "STDIN: its StandardInput= cannot be set up",
    209: "STDOUT: its StandardOutput= cannot be set up, a log file that cannot be opened for example",
    210: "CHROOT: its RootDirectory= cannot be used",
    213: "TIMERSLACK: its TimerSlackNSec= cannot be set",
    214: "SETSCHEDULER: its CPU scheduling cannot be set",
    216: "GROUP: its Group= cannot be used; such a group may not exist",
    217: "USER: its User= cannot be used; such a user may not exist",
    218: "CAPABILITIES: its capabilities cannot be set",
    219: "CGROUP: its control group cannot be set up",
    220: "SETSID: its session cannot be made",
    222: "STDERR: its StandardError= cannot be set up, a log file that cannot be opened for example",
    224: "PAM: its PAMName= cannot be used",
    225: "NETWORK: its network namespace cannot be made",
    226: "NAMESPACE: its mounts cannot be made; a path in ReadWritePaths=, BindPaths= and the like may not exist",
    227: "NO_NEW_PRIVILEGES: NoNewPrivileges= cannot be set",
    228: "SECCOMP: its system call filter cannot be set",
    231: "APPARMOR_PROFILE: its AppArmorProfile= cannot be used",
    232: "ADDRESS_FAMILIES: its RestrictAddressFamilies= cannot be set",
    233: "RUNTIME_DIRECTORY: its RuntimeDirectory= cannot be made",
    235: "CHOWN: what its sockets are owned by cannot be set",
    238: "STATE_DIRECTORY: its StateDirectory= cannot be made",
    239: "CACHE_DIRECTORY: its CacheDirectory= cannot be made",
    240: "LOGS_DIRECTORY: its LogsDirectory= cannot be made",
    241: "CONFIGURATION_DIRECTORY: its ConfigurationDirectory= cannot be made",
    243: "CREDENTIALS: its credentials cannot be loaded",
}

#: gunicorn's own exit statuses: a worker failed to boot; the app failed to load.
_BOOT_STATUSES = (3, 4)

# What journals call it.
_BOOT_ERRORS = ("gunicorn_boot_error", "gunicorn_app_failed_to_load")
_PORT_IN_USE = (
    "gunicorn_connection_in_use",
    "uvicorn_address_in_use",
    "node_eaddrinuse",
    "phpfpm_already_listening",
    "puma_bound",
    "port_in_use",
)
_TRACEBACK = ("python_traceback",)
OOM_LINES = ("systemd_oom_kill",)
RESTART_LINES = ("systemd_scheduled_restart",)
START_LINES = ("systemd_started",)

#: A unit that was restarted and is no longer up than this may be between two deaths.
_YOUNG = 30.0
_OFTEN = 3  # restarts


@dataclass(frozen=True)
class Trouble:
    """Why a unit does not serve."""

    cause: str
    evidence: tuple[Evidence, ...] = ()
    mend: str = ""  # what somebody has to do before it can be started; "" when starting it is the right thing
    first: Fix | None = None  # the role that helps with that


_Judge = Callable[[Fleet, str, Unit, str], "Trouble | None"]


def is_active(unit: Unit | None) -> bool:
    return unit is not None and unit["active_state"] in ("active", "reloading")


def ended_well(unit: Unit) -> bool:
    """Somebody stopped it, it ended by itself without an error, or it was never started."""
    return unit["active_state"] == "inactive" and unit["result"] in ("success", "")


def is_looping(fleet: Fleet, host: str, unit: Unit) -> bool:
    """Tell whether systemd restarts it again and again."""
    if unit["sub_state"].startswith("auto-restart"):
        return True
    if unit["active_state"] == "activating":
        return unit["restarts"] > 0
    age = seconds_ago(fleet.observations[host], unit["active_since"])
    return is_active(unit) and unit["restarts"] >= _OFTEN and age is not None and age <= _YOUNG


def is_giving_up(fleet: Fleet, host: str, unit: Unit) -> bool:
    """Tell whether it has said, since it was started, that it cannot serve. gunicorn lives on for as long as it tries
    to bind again, or as its other workers take to end, which may be half a minute."""
    said = _journals.events(fleet, host, unit["name"], (*_BOOT_ERRORS, *_PORT_IN_USE))
    return is_active(unit) and bool(_journals.since(said, unit["active_since"]))


def kind_of(fleet: Fleet, host: str, name: str) -> str:
    """The kind of a unit's app server; "" when it is not known."""
    return next((app["kind"] for app in fleet.observations[host]["app_servers"] if app["unit"] == name), "")


def trouble_of(fleet: Fleet, host: str, unit: Unit, kind: str = "") -> Trouble:
    """The cause that keeps a unit from serving; `kind` is that of its app server, where it is known."""
    if unit["load_state"] == "loaded" and not ended_well(unit):
        for judge in _JUDGES:
            trouble = judge(fleet, host, unit, kind)
            if trouble is not None:
                return trouble
    return Trouble("app_not_running")


def holders(fleet: Fleet, host: str, unit: Unit) -> list[Evidence]:
    """Who else listens where this unit is set to listen.

    A listener without a process may have been the unit's own, and have ended before its process was looked for.
    """
    comes_and_goes = unit["active_state"] not in ("failed", "inactive")
    apps = [app for app in fleet.observations[host]["app_servers"] if app["unit"] == unit["name"]]
    own = (unit["name"], *unit["triggered_by"])
    return [
        Evidence(kind="socket", text=f"{key} is held by {_called(each)}", source=host)
        for app in apps
        for key in app["binds"]
        for each in fleet.listeners_at(host, key)
        if each["unit"] not in own and not (each["pid"] is None and comes_and_goes)
    ]


def _called(listener: Listener) -> str:
    process = listener["process"] or "a process that could not be seen"
    number = f" (pid {listener['pid']})" if listener["pid"] else ""
    return f"{process}{number}" + (f" of {listener['unit']}" if listener["unit"] else "")


def _disk_full(fleet: Fleet, host: str, unit: Unit, _kind: str) -> Trouble | None:
    """Its journal says so, or it ended with an error on a host where nothing can be written."""
    said = _journals.of_last_run(fleet, host, unit, _disk.NO_SPACE)
    full = _disk.full(fleet, host)
    if not said and (not full or unit["exit_code"] in (203, 216, 217)):
        return None
    return Trouble(
        "disk_full",
        (*_journals.journal_evidence(host, unit["name"], said), *_disk.evidence(host, full)),
        f"Make room on {', '.join(each['mount'] for each in full) or 'the file system that is full'}, then apply this",
        first=_disk.make_room(full, unit["name"]),
    )


def _exec_failed(fleet: Fleet, host: str, unit: Unit, _kind: str) -> Trouble | None:
    status = unit["exit_code"] if unit["raw"].get("ExecMainCode", "1") == "1" else _status_before(fleet, host, unit)
    if status not in EXEC_STATUSES:
        return None
    text = f"{unit['name']}: systemd could not run its command, exit status {status}/{EXEC_STATUSES[status]}"
    return Trouble(
        "app_exec_failed",
        (Evidence(kind="unit", text=text, source=host), *_commands(host, unit)),
        f"Correct that setting in the files of {unit['name']} first, then apply this",
    )


def _status_before(fleet: Fleet, host: str, unit: Unit) -> int | None:
    """The exit status of systemd's own of a unit that is being started once more, which makes systemd forget it."""
    if not _starts_once_more(fleet, host, unit):
        return None
    ends = [event["last"] for event in _journals.events(fleet, host, unit["name"], ("systemd_failed_result",))]
    steps = {
        step
        for event in _journals.of_last_run(fleet, host, unit, ("systemd_exec_failed",))
        if all((seconds_between(event["last"], end) or 0.0) <= 1.0 for end in ends)
        for step in event["details"]
    }
    return next((status for status, said in EXEC_STATUSES.items() if said.partition(":")[0] in steps), None)


def _ended_for_memory(fleet: Fleet, host: str, unit: Unit) -> bool:
    """Tell whether the kernel's killing ended it; all its failures have to say so where systemd has forgotten it."""
    if not _starts_once_more(fleet, host, unit):
        return unit["result"] == "oom-kill"
    said = _journals.of_last_run(fleet, host, unit, ("systemd_failed_result",))
    return {result for event in said for result in event["details"]} == {"oom-kill"}


def _starts_once_more(fleet: Fleet, host: str, unit: Unit) -> bool:
    """Tell whether its main process runs at this moment, between two deaths."""
    return is_looping(fleet, host, unit) and unit["raw"].get("ExecMainCode") == "0"


def _port_conflict(fleet: Fleet, host: str, unit: Unit, _kind: str) -> Trouble | None:
    said = _journals.of_last_run(fleet, host, unit, _PORT_IN_USE)
    held = holders(fleet, host, unit)
    if not held and not said:
        return None
    return Trouble(
        "app_port_conflict",
        (*held, *_journals.journal_evidence(host, unit["name"], said)),
        f"Stop what holds the port, or let one of the two listen elsewhere, then apply this to {unit['name']}",
    )


def _boot_error(fleet: Fleet, host: str, unit: Unit, kind: str) -> Trouble | None:
    said = _journals.of_last_run(fleet, host, unit, _BOOT_ERRORS)
    by_status = kind == "gunicorn" and unit["exit_code"] in _BOOT_STATUSES
    if not said and not by_status:
        return None
    said += _journals.of_last_run(fleet, host, unit, _TRACEBACK)
    told = _journals.journal_evidence(host, unit["name"], said)
    status = Evidence(
        kind="unit",
        text=f"{unit['name']}: exit status {unit['exit_code']}, gunicorn's own for "
        + ("a worker that fails to boot" if unit["exit_code"] == _BOOT_STATUSES[0] else "an app that fails to load"),
        source=host,
    )
    return Trouble(
        "gunicorn_boot_error",
        ((status,) if by_status else ()) + tuple(told or _journals.tail_evidence(fleet, host, unit["name"])),
        f"Mend what keeps the app of {unit['name']} from loading (its journal says it), then apply this",
    )


def _oom_policy(fleet: Fleet, host: str, unit: Unit, _kind: str) -> Trouble | None:
    said = _journals.of_last_run(fleet, host, unit, OOM_LINES)
    if not _ended_for_memory(fleet, host, unit):
        return None
    limits = {name: unit["raw"][name] for name in ("OOMPolicy", "MemoryMax", "MemoryPeak") if unit["raw"].get(name)}
    shown = ", ".join(f"{name}={value}" for name, value in limits.items()) or "its limits are not known"
    text = f"{unit['name']}: the kernel killed one of its processes for memory, and systemd ended all of it ({shown})"
    return Trouble(
        "unit_killed_by_oom_policy",
        (Evidence(kind="unit", text=text, source=host), *_journals.journal_evidence(host, unit["name"], said)),
    )


def _start_limit(fleet: Fleet, host: str, unit: Unit, _kind: str) -> Trouble | None:
    """systemd seldom says so in the result, which stays that of the last failure: a unit that is always revived and
    has failed was given up."""
    said = _journals.of_last_run(fleet, host, unit, ("systemd_start_limit",))
    given_up = unit["active_state"] == "failed" and unit["restart"] in REVIVING and unit["restarts"] > 0
    if not (unit["result"] == "start-limit-hit" or (said and unit["active_state"] == "failed") or given_up):
        return None
    burst, interval = (unit["raw"].get(name) for name in ("StartLimitBurst", "StartLimitIntervalUSec"))
    limit = f", limit {burst} starts in {interval}" if burst and interval else ""
    text = f"{unit['name']}: given up after {unit['restarts']} restarts (result {unit['result']}{limit})"
    return Trouble(
        "app_start_limit_hit",
        (Evidence(kind="unit", text=text, source=host), *_how_it_dies(fleet, host, unit, said)),
        f"Mend what the journal of {unit['name']} says; then systemctl reset-failed {unit['name']}, and apply this",
    )


def _crash_loop(fleet: Fleet, host: str, unit: Unit, _kind: str) -> Trouble | None:
    if not is_looping(fleet, host, unit):
        return None
    said = _journals.events(fleet, host, unit["name"], RESTART_LINES)
    text = f"{unit['name']}: starts and ends again, {unit['restarts']} restarts so far"
    return Trouble(
        "app_crash_loop",
        (Evidence(kind="unit", text=text, source=host), *_how_it_dies(fleet, host, unit, said)),
        f"{unit['name']} starts and ends again ({unit['restarts']} restarts): "
        "mend what its journal says, then apply this",
    )


#: The roots come before what follows from them: a unit that cannot start is restarted, and then given up.
_JUDGES: tuple[_Judge, ...] = (
    _disk_full,
    _exec_failed,
    _port_conflict,
    _boot_error,
    _oom_policy,
    _start_limit,
    _crash_loop,
)


def _how_it_dies(fleet: Fleet, host: str, unit: Unit, said: Sequence[JournalEvent]) -> list[Evidence]:
    traces = _journals.of_last_run(fleet, host, unit, _TRACEBACK)
    return [
        *_journals.journal_evidence(host, unit["name"], [*said, *traces]),
        *(_journals.tail_evidence(fleet, host, unit["name"]) if not traces else ()),
    ]


def _commands(host: str, unit: Unit) -> list[Evidence]:
    settings = [
        f"ExecStart={' '.join(unit['exec_start'])}" if unit["exec_start"] else "",
        f"WorkingDirectory={unit['working_directory']}" if unit["working_directory"] else "",
        f"User={unit['user']}" if unit["user"] else "",
    ]
    text = ", ".join(setting for setting in settings if setting)
    return [Evidence(kind="config", text=text, source=f"{host}:{unit['fragment']}")] if text else []
