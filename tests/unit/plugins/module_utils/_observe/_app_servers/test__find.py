# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""App servers: what they are, and where their settings say that they bind."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import AppServer, Listener
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._app_servers._find import find_app_servers
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._processes import Process, ProcessTable
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._shared import Notes, local_time
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._units import UnitFacts, Units, typed


def unit(name: str, command: str, **block: str) -> UnitFacts:
    argv = tuple(command.split())
    environment = {"APP_PORT": "8005"}
    shown = typed({"Id": name, "WorkingDirectory": "/nonexistent", **block}, environment=environment, argv=argv)
    return UnitFacts(unit=shown, argv=argv, environment=environment)


def process(pid: int, argv: str, *, unit: str | None = None, parent: int = 1) -> Process:
    words = (argv,) if ": " in argv else tuple(argv.split())
    return Process(
        pid=pid, parent=parent, name=argv[:15], argv=words, exe="", uid=0, gid=0, started=60.0 * pid, unit=unit
    )


def table(tmp_path: Path, *processes: Process) -> ProcessTable:
    return ProcessTable(processes={one.pid: one for one in processes}, proc=tmp_path)


def listener(pid: int, process_name: str, port: int, unit: str | None = None) -> Listener:
    return Listener(
        transport="tcp",
        address="127.0.0.1",
        port=port,
        inode=port,
        pid=pid,
        process=process_name,
        unit=unit,
        backlog=None,
        queued=None,
        network_namespace="",
        file_exists=None,
        file_is_this_socket=None,
        file_mode=None,
        file_owner=None,
    )


def test_running_stopped_activated_and_loose_app_servers_and_no_daemons(tmp_path: Path) -> None:
    units = Units(
        systemd=True,
        facts=(
            unit("shop.service", "/usr/bin/gunicorn -b 127.0.0.1:8001 app:app"),
            unit("stopped.service", "/usr/bin/gunicorn -b 127.0.0.1:${APP_PORT} app:app"),
            unit("lazy.service", "/usr/bin/gunicorn app:app", TriggeredBy="lazy.socket"),
            unit("lazy.socket", "", ActiveState="active", Listen="127.0.0.1:8003 (Stream)\n/run/lazy (Datagram)"),
            unit("go.service", "/srv/server"),
            unit("ssh.service", "/usr/sbin/sshd -D"),
        ),
    )
    processes = table(
        tmp_path,
        process(10, "gunicorn: master [app:app]", unit="shop.service"),
        process(11, "gunicorn: worker [app:app]", unit="shop.service", parent=10),
        process(20, "/srv/server", unit="go.service"),
        process(30, "sshd", unit="ssh.service"),
        process(40, "gunicorn: master [loose]", unit="session-1.scope"),
        process(41, "gunicorn: worker [loose]", unit="session-1.scope", parent=40),
        process(50, "/usr/sbin/mysqld"),
    )
    listeners = [
        listener(10, "gunicorn", 8001, "shop.service"),
        listener(20, "server", 8002, "go.service"),
        listener(30, "sshd", 22, "ssh.service"),
        listener(1, "systemd", 8003, "lazy.socket"),
        listener(40, "gunicorn", 8004, "session-1.scope"),
        listener(50, "mysqld", 3306),
    ]
    found = find_app_servers(table=processes, units=units, listeners=listeners, notes=Notes())
    assert [(app["kind"], app["unit"], app["pids"], app["binds"], app["listens"]) for app in found] == [
        ("gunicorn", "shop.service", [10, 11], ["tcp:127.0.0.1:8001"], ["tcp:127.0.0.1:8001"]),
        ("gunicorn", "stopped.service", [], ["tcp:127.0.0.1:8005"], []),
        ("gunicorn", "lazy.service", [], ["tcp:127.0.0.1:8003"], ["tcp:127.0.0.1:8003"]),
        ("other", "go.service", [20], [], ["tcp:127.0.0.1:8002"]),
        ("gunicorn", None, [40, 41], [], ["tcp:127.0.0.1:8004"]),
    ]
    assert [app["running_since"] for app in found] == [local_time(600), "", "", local_time(1200), local_time(2400)]


def found(units: list[UnitFacts], processes: ProcessTable, listeners: list[Listener]) -> list[AppServer]:
    return find_app_servers(
        table=processes, units=Units(systemd=True, facts=tuple(units)), listeners=listeners, notes=Notes()
    )


@pytest.mark.parametrize(
    ("socket", "binds", "source"),
    [
        ({"ActiveState": "active"}, ["unix:/run/lazy.sock"], "lazy.socket"),
        ({"ActiveState": "failed"}, ["unix:/run/lazy.sock"], "lazy.socket"),
        ({"ActiveState": "inactive", "UnitFileState": "enabled"}, ["unix:/run/lazy.sock"], "lazy.socket"),
        ({"ActiveState": "inactive", "UnitFileState": "disabled"}, ["tcp:127.0.0.1:8000"], "default"),
    ],
)
def test_what_systemd_hands_gunicorn_is_where_it_listens(
    tmp_path: Path, socket: dict[str, str], binds: list[str], source: str
) -> None:
    units = [
        unit("lazy.service", "/usr/bin/gunicorn app:app", TriggeredBy="lazy.socket"),
        unit("lazy.socket", "", Listen="/run/lazy.sock (Stream)", **socket),
    ]
    (app,) = found(units, table(tmp_path), [])
    assert (app["binds"], app["binds_known"], app["binds_from"]) == (binds, True, source)


PROGRAM = {"ActiveState": "inactive", "UnitFileState": "enabled", "Type": "simple"}


@pytest.mark.parametrize(
    ("command", "block", "is_app"),
    [
        ("/opt/shop/bin/shop --port 8080", {}, True),
        ("/usr/sbin/apachectl start", {}, True),
        ("/usr/bin/supervisord -n", {}, True),
        ("/opt/shop/bin/shop", {"ActiveState": "failed", "UnitFileState": "disabled"}, True),
        ("/opt/shop/bin/shop", {"UnitFileState": "disabled"}, False),
        ("/opt/shop/bin/backup", {"Type": "oneshot"}, False),
        ("/opt/shop/bin/report", {"TriggeredBy": "shop.timer"}, False),
        ("/opt/shop/bin/shop", {"ActiveState": "active", "SubState": "exited"}, False),
        ("/usr/bin/node_exporter", {}, False),
        ("", {}, False),
    ],
)
def test_a_program_that_should_run_and_does_not_may_be_what_nginx_misses(
    tmp_path: Path, command: str, block: dict[str, str], is_app: bool
) -> None:
    apps = found([unit("shop.service", command, **{**PROGRAM, **block})], table(tmp_path), [])
    expected: list[tuple[object, ...]] = [("other", "shop.service", False, [])] if is_app else []
    assert [(app["kind"], app["unit"], app["binds_known"], app["pids"]) for app in apps] == expected


def test_a_terminal_that_was_left_open_is_no_app_server(tmp_path: Path) -> None:
    processes = table(
        tmp_path,
        process(40, "SCREEN -dmS app gunicorn -b :8004 app:app", unit="session-1.scope"),
        process(41, "/usr/bin/gunicorn -b :8004 app:app", unit="session-1.scope", parent=40),
        process(50, "tmux new -d node shop.js", unit="session-2.scope"),
        process(51, "node shop.js", unit="session-2.scope", parent=50),
    )
    listeners = [listener(40, "screen", 1), listener(41, "gunicorn", 8004), listener(50, "tmux: server", 2)]
    assert [(app["kind"], app["pids"]) for app in found([], processes, listeners)] == [
        ("gunicorn", [41]),
        ("node", [51]),
    ]


def test_the_settings_of_a_stopped_app_server_are_those_of_its_unit(tmp_path: Path) -> None:
    (app,) = found([unit("a.service", "/usr/bin/gunicorn -w 3 app:app")], table(tmp_path), [])
    assert (app["settings"]["workers"], app["settings_from"]["workers"], app["settings_known"]) == (
        3,
        "ExecStart",
        True,
    )
    assert set(app["capacity"].values()) == {None}


def proc_of(tmp_path: Path, pid: int, **environment: str) -> None:
    """What /proc says of one process, as far as it is read here."""
    directory = tmp_path / str(pid)
    directory.mkdir()
    (directory / "environ").write_text("\0".join(f"{name}={value}" for name, value in environment.items()))
    (directory / "cwd").symlink_to(tmp_path)


def test_behind_a_wrapper_only_the_process_knows_the_arguments(tmp_path: Path) -> None:
    proc_of(tmp_path, 11, WEB_CONCURRENCY="5")
    processes = table(
        tmp_path,
        process(10, "/bin/sh /srv/run", unit="a.service"),
        process(11, "/usr/bin/python3 /usr/bin/gunicorn -b :1 app:app", unit="a.service", parent=10),
        process(12, "/usr/bin/python3 /usr/bin/gunicorn -b :1 app:app", unit="a.service", parent=11),
    )
    (app,) = found([unit("a.service", "/srv/run")], processes, [])
    assert (app["kind"], app["unit"], app["pids"], app["binds"]) == (
        "gunicorn",
        "a.service",
        [10, 11, 12],
        ["tcp:0.0.0.0:1"],
    )
    assert (app["settings"]["workers"], app["settings_from"]["workers"]) == (5, "WEB_CONCURRENCY")
    assert app["capacity"]["workers_running"] == 1


def test_several_app_servers_of_one_unit_are_told_apart(tmp_path: Path) -> None:
    proc_of(tmp_path, 11)
    proc_of(tmp_path, 21)
    processes = table(
        tmp_path,
        process(10, "/bin/sh /srv/run", unit="a.service"),
        process(11, "gunicorn -b :1 app:app", unit="a.service", parent=10),
        process(12, "gunicorn -b :1 app:app", unit="a.service", parent=11),
        process(21, "uvicorn --port 2 app:app", unit="a.service", parent=10),
    )
    listeners = [listener(11, "gunicorn", 1, "a.service"), listener(21, "uvicorn", 2, "a.service")]
    apps = found([unit("a.service", "/srv/run")], processes, listeners)
    assert [(app["kind"], app["unit"], app["pids"], app["listens"]) for app in apps] == [
        ("gunicorn", "a.service", [11, 12], ["tcp:127.0.0.1:1"]),
        ("uvicorn", "a.service", [21], ["tcp:127.0.0.1:2"]),
    ]


def test_a_supervisors_unit_is_not_that_of_its_app_servers(tmp_path: Path) -> None:
    proc_of(tmp_path, 11)
    processes = table(
        tmp_path,
        process(10, "supervisord", unit="supervisor.service"),
        process(11, "gunicorn -b :1 app:app", unit="supervisor.service", parent=10),
    )
    listeners = [
        listener(10, "supervisord", 9001, "supervisor.service"),
        listener(11, "gunicorn", 1, "supervisor.service"),
    ]
    (app,) = found([unit("supervisor.service", "/usr/bin/supervisord")], processes, listeners)
    assert (app["kind"], app["unit"], app["pids"]) == ("gunicorn", None, [11])
    assert app["settings"]["started_by"] == "supervisord"


def test_secrets_stay_and_titles_tell_what_they_can(tmp_path: Path) -> None:
    command = "/usr/bin/gunicorn --worker-tmp-dir https://me:secret@x/y app:app"
    (app,) = found([unit("a.service", command)], table(tmp_path), [])
    assert app["settings"]["worker_tmp_dir"] == "https://***@x/y"


def test_tcp_listeners_in_another_network_are_not_where_an_app_server_can_be_reached(tmp_path: Path) -> None:
    processes = table(tmp_path, process(10, "gunicorn: master [app]", unit="a.service"))
    tcp, path = listener(10, "gunicorn", 1, "a.service"), listener(10, "gunicorn", 2, "a.service")
    path["transport"], path["address"], path["port"] = "unix", "/run/a.sock", None
    for one in (tcp, path):
        one["network_namespace"] = "net:[4026532999]"
    (app,) = found([unit("a.service", "/usr/bin/gunicorn app:app")], processes, [tcp, path])
    assert app["listens"] == ["unix:/run/a.sock"]


def test_an_nginx_that_an_app_started_is_no_app_server(tmp_path: Path) -> None:
    proc_of(tmp_path, 10)
    processes = table(tmp_path, process(10, "python3 serve.py"), process(11, "nginx: master process nginx", parent=10))
    (app,) = found([], processes, [listener(10, "python3", 8000), listener(11, "nginx", 80)])
    assert (app["pids"], app["listens"]) == ([10, 11], ["tcp:127.0.0.1:8000"])
