# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""uWSGI's settings: the last one wins."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._app_servers._reading import Reading
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._app_servers._start import Start
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._app_servers._uwsgi import read_uwsgi
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._shared import Notes


def read(
    command: str,
    directory: Path = Path("/nonexistent"),
    *,
    environment: dict[str, str] | None = None,
    notes: Notes | None = None,
) -> Reading:
    start = Start(argv=tuple(command.split()), environment=environment or {}, directory=directory, source="ExecStart")
    return read_uwsgi(start, notes=notes or Notes())


@pytest.mark.parametrize(
    ("command", "binds", "protocols"),
    [
        ("uwsgi --socket 127.0.0.1:3031", ["tcp:127.0.0.1:3031"], ["uwsgi"]),
        ("uwsgi -s /run/a.sock --master --vacuum", ["unix:/run/a.sock"], ["uwsgi"]),
        ("uwsgi --http-socket=:9090", ["tcp:0.0.0.0:9090"], ["http"]),
        ("uwsgi --http11-socket :1 --uwsgi-socket :2", ["tcp:0.0.0.0:1", "tcp:0.0.0.0:2"], ["http", "uwsgi"]),
        ("uwsgi --http :80 --https :443,a.crt,a.key", ["tcp:0.0.0.0:80", "tcp:0.0.0.0:443"], ["http", "https"]),
    ],
)
def test_sockets(command: str, binds: list[str], protocols: list[str]) -> None:
    reading = read(command)
    assert (reading.binds, reading.binds_known) == (binds, True)
    assert list(reading.get("protocols").values()) == protocols


def test_ini_file(tmp_path: Path) -> None:
    (tmp_path / "app.ini").write_text(
        "[other]\nsocket = :1\n[uwsgi]\n# socket = :2\nbase = /run/%n\nsocket = %(base)/app.sock ; x\n"
        "http-socket = 127.0.0.1:$(PORT)\nprocesses = 4\nthreads=2\nmaster\nvacuum = true\nlisten = 64\nharakiri = 30\n"
    )
    reading = read("uwsgi --ini app.ini", tmp_path, environment={"PORT": "9090"})
    file = str(tmp_path / "app.ini")
    assert (reading.binds, reading.binds_known) == (["unix:/run/app/app.sock", "tcp:127.0.0.1:9090"], True)
    assert reading.binds_from == reading.settings_from["workers"] == file
    names = ("workers", "threads", "concurrency", "backlog", "request_timeout", "idle_timeout", "vacuum", "buffer-size")
    assert [reading.get(name) for name in names] == [4, 2, 8, 64, 30, 0, True, 4096]
    assert reading.settings_known


@pytest.mark.parametrize(
    ("command", "environment", "processes"),
    [
        ("uwsgi --ini app.ini", {}, 4),
        ("uwsgi --ini app.ini --processes 5", {}, 5),
        ("uwsgi --processes 5 --ini app.ini", {}, 4),
        ("uwsgi --processes 5 app.ini", {}, 4),
        ("uwsgi -p 5", {}, 5),
        ("uwsgi -p5 --workers=6", {}, 6),
        ("uwsgi --ini app.ini:small", {}, 1),
        ("uwsgi --ini app.ini", {"UWSGI_WORKERS": "9"}, 9),
    ],
)
def test_the_last_one_wins(tmp_path: Path, command: str, environment: dict[str, str], processes: int) -> None:
    (tmp_path / "app.ini").write_text("[uwsgi]\nsocket = :1\nprocesses = 4\n[small]\nprocesses = 1\n")
    assert read(command, tmp_path, environment=environment).get("workers") == processes


@pytest.mark.parametrize(
    "command",
    [
        "uwsgi --emperor /etc/vassals",
        "uwsgi --ini /nonexistent.ini",
        "uwsgi -s /run/%x.sock",
        "uwsgi -s $(GONE)",
        "uwsgi --socket :1 --yaml app.yml",
        "uwsgi --socket :1 app.xml",
        "uwsgi --socket fd://3",
    ],
)
def test_binds_that_cannot_be_told(command: str) -> None:
    assert not read(command).binds_known


def test_an_unread_file_hides_what_it_might_set() -> None:
    notes = Notes()
    reading = read("uwsgi --yaml app.yml --processes 3", notes=notes)
    assert [reading.get(name) for name in ("workers", "backlog")] == [3, None]
    assert not reading.settings_known
    assert [entry["what"] for entry in notes.entries] == ["uWSGI settings app.yml"]


def test_files_that_include_each_other_end(tmp_path: Path) -> None:
    (tmp_path / "a.ini").write_text("[uwsgi]\nprocesses = 2\nini = b.ini\n")
    (tmp_path / "b.ini").write_text("[uwsgi]\n" + "ini = a.ini\n" * 100 + "variable = %(other)\nother = %(variable)\n")
    notes = Notes()
    reading = read("uwsgi --ini a.ini --socket %(variable)", tmp_path, notes=notes)
    assert (reading.get("workers"), reading.settings_known, reading.binds_known) == (2, False, False)
    assert "included too deep or too often" in {entry["why"] for entry in notes.entries}
