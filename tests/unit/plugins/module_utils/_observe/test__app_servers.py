# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""App servers: what they are, and where their settings say that they bind."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import Listener
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._app_servers import (
    Binds,
    Start,
    find_app_servers,
    gunicorn_binds,
    kind_of,
    node_binds,
    parse_bind,
    read_python_settings,
    uvicorn_binds,
    uwsgi_binds,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._processes import Process, ProcessTable
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._shared import Notes
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._units import UnitFacts, Units, typed


@pytest.mark.parametrize(
    ("argv", "kind"),
    [
        ("gunicorn: master [wsgi:application]", "gunicorn"),
        ("/usr/bin/python3 /usr/bin/gunicorn app:app", "gunicorn"),
        ("/srv/venv/bin/python3.12 -m gunicorn app:app", "gunicorn"),
        ("/usr/bin/env PORT=1 gunicorn app:app", "gunicorn"),
        ("/bin/sh -c exec gunicorn app:app", "gunicorn"),
        ("/usr/bin/uwsgi-core --ini x.ini", "uwsgi"),
        ("/srv/venv/bin/python /srv/venv/bin/uvicorn app:app", "uvicorn"),
        ("php-fpm: master process (/etc/php/8.2/fpm/php-fpm.conf)", "php-fpm"),
        ("/usr/sbin/php-fpm8.2 -F", "php-fpm"),
        ("/usr/bin/node server.js", "node"),
        ("/usr/bin/node_exporter", None),
        ("/usr/bin/python3 /srv/app/server.py", None),
        ("vim gunicorn.conf.py", None),
        ("", None),
    ],
)
def test_kinds(argv: str, kind: str | None) -> None:
    assert kind_of([argv] if ": " in argv else argv.split()) == kind


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("127.0.0.1:8000", "tcp:127.0.0.1:8000"),
        (":9000", "tcp:0.0.0.0:9000"),
        ("localhost", "tcp:localhost:8000"),
        ("[::1]:8001", "tcp:[::1]:8001"),
        ("unix:/run/app.sock", "unix:/run/app.sock"),
        ("unix:///run/app.sock", "unix:/run/app.sock"),
        ("/run/app.sock", "unix:/run/app.sock"),
        ("tcp://127.0.0.1:1", "tcp:127.0.0.1:1"),
        ("fd://3", None),
        ("0.0.0.0:$PORT", None),
    ],
)
def test_bind(text: str, key: str | None) -> None:
    assert parse_bind(text, default_host="0.0.0.0", default_port=8000) == key


def start(
    command: str, *, environment: dict[str, str] | None = None, directory: Path | None = Path("/nonexistent")
) -> Start:
    return Start(argv=tuple(command.split()), environment=environment or {}, directory=directory, source="ExecStart")


@pytest.mark.parametrize(
    ("command", "environment", "addresses", "source"),
    [
        ("gunicorn app:app", {}, ["tcp:127.0.0.1:8000"], "default"),
        ("gunicorn app:app", {"PORT": "9000"}, ["tcp:0.0.0.0:9000"], "PORT"),
        (
            "gunicorn app:app",
            {"PORT": "9000", "GUNICORN_CMD_ARGS": "-b :9001"},
            ["tcp:0.0.0.0:9001"],
            "GUNICORN_CMD_ARGS",
        ),
        (
            "gunicorn -b :9002 app:app",
            {"PORT": "9000", "GUNICORN_CMD_ARGS": "-b :9001"},
            ["tcp:0.0.0.0:9002"],
            "ExecStart",
        ),
        ("gunicorn --bind=:1 -b:2 --bind unix:/s", {}, ["tcp:0.0.0.0:1", "tcp:0.0.0.0:2", "unix:/s"], "ExecStart"),
    ],
)
def test_gunicorns_precedence(command: str, environment: dict[str, str], addresses: list[str], source: str) -> None:
    binds = gunicorn_binds(start(command, environment=environment), notes=Notes())
    assert (binds.addresses, binds.known, binds.source) == (addresses, True, source)


@pytest.mark.parametrize(
    ("text", "addresses", "known"),
    [
        pytest.param('bind = "unix:/run/a.sock"\nworkers = 3\n', ["unix:/run/a.sock"], True, id="a string"),
        pytest.param(
            'bind = ["127.0.0.1:1", "127.0.0.1:2"]\n', ["tcp:127.0.0.1:1", "tcp:127.0.0.1:2"], True, id="a list"
        ),
        pytest.param("workers = 3\n", ["tcp:127.0.0.1:8000"], True, id="not set"),
        pytest.param('import os\nbind = os.environ["BIND"]\n', [], False, id="computed"),
        pytest.param("bind = \n", [], False, id="not Python"),
    ],
)
def test_gunicorns_unnamed_settings_file(tmp_path: Path, text: str, addresses: list[str], known: bool) -> None:
    (tmp_path / "gunicorn.conf.py").write_text(text)
    binds = gunicorn_binds(start("gunicorn app:app", directory=tmp_path), notes=Notes())
    assert (binds.addresses, binds.known) == (addresses, known)


def test_a_bind_on_the_command_line_wins_over_a_file_that_is_computed(tmp_path: Path) -> None:
    (tmp_path / "c.py").write_text("bind = compute()\n")
    binds = gunicorn_binds(start("gunicorn -c c.py -b :1 app:app", directory=tmp_path), notes=Notes())
    assert (binds.addresses, binds.known, binds.source) == (["tcp:0.0.0.0:1"], True, "ExecStart")


def test_a_named_file_that_is_missing_leaves_the_binds_unknown() -> None:
    assert not gunicorn_binds(start("gunicorn -c /nonexistent.py app:app"), notes=Notes()).known


def test_without_directory_and_environment_the_default_is_not_known() -> None:
    binds = gunicorn_binds(start("gunicorn app:app", directory=None), notes=Notes())
    assert (binds.addresses, binds.known) == ([], False)


def test_settings_files_are_never_run(tmp_path: Path) -> None:
    witness = tmp_path / "ran"
    text = f"open({str(witness)!r}, 'w')\nbind = '127.0.0.1:1'\ntimeout = 10 * 3\n"
    assert read_python_settings(text, ["bind", "timeout"]) == ({"bind": "127.0.0.1:1"}, {"timeout"})
    assert not witness.exists()


@pytest.mark.parametrize(
    ("command", "addresses", "protocols"),
    [
        ("uwsgi --socket 127.0.0.1:3031", ["tcp:127.0.0.1:3031"], ["uwsgi"]),
        ("uwsgi -s /run/a.sock --master --vacuum", ["unix:/run/a.sock"], ["uwsgi"]),
        ("uwsgi --http-socket=:9090", ["tcp:0.0.0.0:9090"], ["http"]),
    ],
)
def test_uwsgi(command: str, addresses: list[str], protocols: list[str]) -> None:
    binds = uwsgi_binds(start(command), notes=Notes())
    assert (binds.addresses, binds.known, list(binds.settings["protocols"].values())) == (addresses, True, protocols)


def test_uwsgi_ini_file(tmp_path: Path) -> None:
    (tmp_path / "app.ini").write_text(
        "[other]\nsocket = :1\n[uwsgi]\n# socket = :2\nsocket = /run/app.sock ; x\nhttp-socket = :9090\nprocesses = 4\n"
    )
    binds = uwsgi_binds(start("uwsgi --ini app.ini", directory=tmp_path), notes=Notes())
    assert (binds.addresses, binds.known) == (["unix:/run/app.sock", "tcp:0.0.0.0:9090"], True)
    assert binds.source == str(tmp_path / "app.ini")
    assert binds.settings["processes"] == "4"


@pytest.mark.parametrize(
    "command", ["uwsgi --emperor /etc/vassals", "uwsgi --ini /nonexistent.ini", "uwsgi -s /run/%n.sock"]
)
def test_uwsgi_that_cannot_be_told(command: str) -> None:
    assert not uwsgi_binds(start(command), notes=Notes()).known


@pytest.mark.parametrize(
    ("command", "environment", "addresses"),
    [
        ("uvicorn app:app", {}, ["tcp:127.0.0.1:8000"]),
        ("uvicorn app:app --host :: --port 9000", {}, ["tcp:[::]:9000"]),
        ("uvicorn app:app --port 9000", {"UVICORN_PORT": "1", "UVICORN_HOST": "0.0.0.0"}, ["tcp:0.0.0.0:9000"]),
        ("uvicorn app:app --uds /run/a.sock", {}, ["unix:/run/a.sock"]),
    ],
)
def test_uvicorn(command: str, environment: dict[str, str], addresses: list[str]) -> None:
    assert uvicorn_binds(start(command, environment=environment), notes=Notes()).addresses == addresses


def test_a_node_program_decides_itself() -> None:
    assert node_binds(start("node x.js"), notes=Notes()) == Binds(known=False, source="")
    assert node_binds(start("node x.js", environment={"PORT": "3000"}), notes=Notes()).addresses == ["tcp:0.0.0.0:3000"]


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
