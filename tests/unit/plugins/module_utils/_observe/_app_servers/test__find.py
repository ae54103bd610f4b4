# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""App servers: what they are, and where their settings say that they bind."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import Listener
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._app_servers._find import find_app_servers
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._processes import Process, ProcessTable
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._shared import Notes
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._units import UnitFacts, Units, typed


def unit(name: str, command: str, **block: str) -> UnitFacts:
    argv = tuple(command.split())
    environment = {"APP_PORT": "8005"}
    shown = typed({"Id": name, "WorkingDirectory": "/nonexistent", **block}, environment=environment, argv=argv)
    return UnitFacts(unit=shown, argv=argv, environment=environment)


def process(pid: int, argv: str, *, unit: str | None = None, parent: int = 1) -> Process:
    return Process(pid=pid, parent=parent, name=argv[:15], argv=(argv,), exe="", uid=0, gid=0, started=0.0, unit=unit)


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
            unit("go.service", "/srv/server"),
            unit("ssh.service", "/usr/sbin/sshd -D"),
        ),
    )
    table = ProcessTable(
        processes={
            one.pid: one
            for one in (
                process(10, "gunicorn: master [app:app]", unit="shop.service"),
                process(11, "gunicorn: worker [app:app]", unit="shop.service", parent=10),
                process(20, "/srv/server", unit="go.service"),
                process(30, "sshd", unit="ssh.service"),
                process(40, "gunicorn: master [loose]", unit="session-1.scope"),
                process(41, "gunicorn: worker [loose]", unit="session-1.scope", parent=40),
                process(50, "/usr/sbin/mysqld"),
            )
        },
        proc=tmp_path,
    )
    listeners = [
        listener(10, "gunicorn", 8001, "shop.service"),
        listener(20, "server", 8002, "go.service"),
        listener(30, "sshd", 22, "ssh.service"),
        listener(1, "systemd", 8003, "lazy.socket"),
        listener(40, "gunicorn", 8004, "session-1.scope"),
        listener(50, "mysqld", 3306),
    ]
    found = find_app_servers(table=table, units=units, listeners=listeners, notes=Notes())
    assert [(app["kind"], app["unit"], app["pids"], app["binds"], app["listens"]) for app in found] == [
        ("gunicorn", "shop.service", [10, 11], ["tcp:127.0.0.1:8001"], ["tcp:127.0.0.1:8001"]),
        ("gunicorn", "stopped.service", [], ["tcp:127.0.0.1:8005"], []),
        ("gunicorn", "lazy.service", [], ["tcp:127.0.0.1:8000"], ["tcp:127.0.0.1:8003"]),
        ("other", "go.service", [20], [], ["tcp:127.0.0.1:8002"]),
        ("gunicorn", None, [40, 41], [], ["tcp:127.0.0.1:8004"]),
    ]
