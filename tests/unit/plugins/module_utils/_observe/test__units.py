# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What `systemctl show` prints, recorded on several versions, and which units are asked for."""

from __future__ import annotations

import fnmatch
from pathlib import Path

import pytest

from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._shared import Notes
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._systemd_text import parse_exec, parse_show
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._units import (
    _LOADED_SOCKETS,
    _unrevived_by,
    find_candidates,
    typed,
)

SYSTEMD_252 = """\
Restart=always
MainPID=36
Result=success
NRestarts=0
ExecMainStatus=0
ExecStart={ path=/usr/bin/gunicorn ; argv[]=/usr/bin/gunicorn --bind 127.0.0.1:8000 --workers 2 wsgi:application ; \
ignore_errors=no ; start_time=[Sat 2026-11-21 04:59:08 UTC] ; stop_time=[n/a] ; pid=36 ; code=(null) ; status=0/0 }
Environment=
WorkingDirectory=/srv/app
User=app
Id=shop.service
TriggeredBy=
LoadState=loaded
ActiveState=active
SubState=running
FragmentPath=/etc/systemd/system/shop.service
DropInPaths=
UnitFileState=enabled
NeedDaemonReload=no

Restart=no
MainPID=0
Result=success
NRestarts=0
ExecMainStatus=0
Environment=
WorkingDirectory=
User=
Id=nothere.service
TriggeredBy=
LoadState=not-found
ActiveState=inactive
SubState=dead
FragmentPath=
DropInPaths=
UnitFileState=
NeedDaemonReload=no
"""
SYSTEMD_257 = """\
Listen=/run/dbus/system_bus_socket (Stream)
Result=success
Environment=
WorkingDirectory=
User=
Id=dbus.socket
TriggeredBy=
LoadState=loaded
ActiveState=active
SubState=running
FragmentPath=/usr/lib/systemd/system/dbus.socket
DropInPaths=
UnitFileState=static
NeedDaemonReload=no
"""


def test_a_running_and_a_missing_unit_of_systemd_252() -> None:
    shop, nothere = parse_show(SYSTEMD_252)
    argv = parse_exec(shop["ExecStart"])
    unit = typed(shop, environment={"PORT": "1", "SECRET_KEY": "x", "LANG": "C"}, argv=argv)
    assert unit["exec_start"] == ["/usr/bin/gunicorn", "--bind", "127.0.0.1:8000", "--workers", "2", "wsgi:application"]
    assert (unit["name"], unit["restart"], unit["main_pid"], unit["active_state"]) == (
        "shop.service",
        "always",
        36,
        "active",
    )
    assert unit["environment"] == {"PORT": "1"}
    assert (unit["working_directory"], unit["user"], unit["drop_ins"]) == ("/srv/app", "app", [])
    missing = typed(nothere, environment={}, argv=())
    assert (missing["load_state"], missing["exec_start"]) == ("not-found", [])


@pytest.mark.parametrize(
    ("restart", "texts", "decided"),
    [
        pytest.param("no", ["[Service]\nRestart=no\n"], "0.conf", id="by a drop-in"),
        pytest.param("no", ["[Service]\n Restart = no\n", "[Service]\nRestartSec=2\n"], "0.conf", id="by the first"),
        pytest.param("no", ["[Service]\nUser=app\n"], "", id="by none"),
        pytest.param("no", ["[Service]\nRestart=no\nRestart=\n"], "", id="taken back"),
        pytest.param("no", [], "", id="by the unit itself"),
        pytest.param("always", ["[Service]\nRestart=no\n"], "", id="no longer"),
    ],
)
def test_who_decided_against_a_restart(restart: str, texts: list[str], decided: str, tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.conf" for number in range(len(texts))]
    for path, text in zip(paths, texts):
        path.write_text(text)
    block = {"Id": "shop.service", "Restart": restart, "DropInPaths": " ".join(map(str, paths))}
    notes = Notes()
    assert _unrevived_by(block, notes=notes) == (str(tmp_path / decided) if decided else "")
    assert notes.entries == []


def test_a_drop_in_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    notes = Notes()
    block = {"Id": "shop.service", "Restart": "no", "DropInPaths": str(tmp_path / "gone.conf")}
    assert _unrevived_by(block, notes=notes) == ""
    assert [one["what"] for one in notes.entries] == [f"{tmp_path}/gone.conf, a drop-in of shop.service"]


def test_a_socket_of_systemd_257() -> None:
    (block,) = parse_show(SYSTEMD_257)
    assert typed(block, environment={}, argv=())["raw"] == {"Listen": "/run/dbus/system_bus_socket (Stream)"}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("ExecStart=/usr/sbin/nginx -g 'daemon on;'", True),
        ("ExecStart=-/usr/bin/gunicorn3 app:app", True),
        ("ExecStart=/srv/venv/bin/python -m gunicorn app:app", True),
        ("ExecStart=/srv/venv/bin/python \\\n  /srv/venv/bin/uvicorn app:app", True),
        ("ExecStart=/bin/sh -c 'exec gunicorn app:app'", True),
        ("ExecStart=/usr/sbin/php-fpm8.2 --nodaemonize", True),
        ("ExecStart=/usr/bin/uwsgi_python3 --ini x.ini", True),
        ("ExecStart=/usr/bin/node server.js", True),
        ("ExecStart=/usr/bin/node_exporter", False),
        ("ExecStart=/bin/kmod static-nodes --output=/run/tmpfiles.d/static-nodes.conf", False),
        ("#ExecStart=/usr/sbin/nginx", False),
        ("ExecStartPre=/usr/sbin/nginx -t", False),
        ("ExecStart=/usr/sbin/sshd -D", False),
    ],
)
def test_which_units_are_asked_for(tmp_path: Path, text: str, found: bool) -> None:
    (tmp_path / "x.service").write_text(f"[Service]\n{text}\n")
    assert find_candidates(notes=Notes(), directories=[tmp_path]) == ({"x.service"} if found else set())


def test_drop_ins_count_and_templates_count_as_their_enabled_instances(tmp_path: Path) -> None:
    (tmp_path / "wrapped.service").write_text("[Service]\nExecStart=/srv/run\n")
    (tmp_path / "wrapped.service.d").mkdir()
    (tmp_path / "wrapped.service.d" / "x.conf").write_text("[Service]\nExecStart=\nExecStart=/usr/bin/uwsgi x.ini\n")
    (tmp_path / "app@.service").write_text("[Service]\nExecStart=/usr/bin/gunicorn %i\n")
    (tmp_path / "multi-user.target.wants").mkdir()
    (tmp_path / "multi-user.target.wants" / "app@blue.service").symlink_to(tmp_path / "app@.service")
    assert find_candidates(notes=Notes(), directories=[tmp_path, tmp_path / "absent"]) == {
        "wrapped.service",
        "app@blue.service",
    }


def test_what_somebody_wrote_for_this_host_may_be_an_app_whatever_it_starts(tmp_path: Path) -> None:
    own, packaged = tmp_path / "etc", tmp_path / "lib"
    for directory, name in ((own, "shop.service"), (packaged, "backup.service")):
        directory.mkdir()
        (directory / name).write_text("[Service]\nExecStart=/opt/shop/bin/shop\n")
    (own / "alias.service").symlink_to(packaged / "backup.service")
    (own / "masked.service").symlink_to("/dev/null")
    assert find_candidates(notes=Notes(), directories=[own, packaged], own=own) == {"shop.service"}


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("shop.socket", True),
        ("s.socket", True),
        ("sshd@1-10.0.0.1:22.socket", True),
        ("systemshop.socket", True),
        ("systemd.socket", True),
        ("systemd-journald.socket", False),
        ("systemd-journald@shop.socket", False),
        ("shop.service", False),
    ],
)
def test_loaded_sockets_are_asked_for_unless_they_are_systemds_own(name: str, asked: bool) -> None:
    assert any(fnmatch.fnmatchcase(name, pattern) for pattern in _LOADED_SOCKETS) is asked


def test_a_socket_named_like_an_app_is_asked_for(tmp_path: Path) -> None:
    """Stopped, systemd does not keep it in memory, and no pattern finds it."""
    (tmp_path / "shop.service").write_text("[Service]\nExecStart=/usr/bin/gunicorn shop\n")
    (tmp_path / "shop.socket").write_text("[Socket]\nListenStream=/run/shop.sock\n")
    (tmp_path / "dbus.socket").write_text("[Socket]\nListenStream=/run/dbus.sock\n")
    assert find_candidates(notes=Notes(), directories=[tmp_path]) == {"shop.service", "shop.socket"}
