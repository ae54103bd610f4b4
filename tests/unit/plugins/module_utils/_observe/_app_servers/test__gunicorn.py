# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""gunicorn's settings by its own precedence."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._app_servers._gunicorn import read_gunicorn
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._app_servers._reading import Reading
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._app_servers._start import Start
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._shared import Notes


def read(
    command: str, directory: Path | None, *, environment: dict[str, str] | None = None, notes: Notes | None = None
) -> Reading:
    start = Start(argv=tuple(command.split()), environment=environment or {}, directory=directory, source="ExecStart")
    return read_gunicorn(start, notes=notes or Notes())


def both(reading: Reading, name: str) -> tuple[Any, str]:
    return reading.get(name), reading.settings_from[name]


@pytest.mark.parametrize(
    ("command", "environment", "binds", "source"),
    [
        ("gunicorn app:app", {}, ["tcp:127.0.0.1:8000"], "default"),
        ("gunicorn app:app", {"PORT": "9000"}, ["tcp:0.0.0.0:9000"], "PORT"),
        ("gunicorn", {"PORT": "9000", "GUNICORN_CMD_ARGS": "-b :9001"}, ["tcp:0.0.0.0:9001"], "GUNICORN_CMD_ARGS"),
        ("gunicorn -b :9002", {"PORT": "9000", "GUNICORN_CMD_ARGS": "-b :9001"}, ["tcp:0.0.0.0:9002"], "ExecStart"),
        ("gunicorn --bind=:1 -b:2 --bind unix:/s", {}, ["tcp:0.0.0.0:1", "tcp:0.0.0.0:2", "unix:/s"], "ExecStart"),
        ("gunicorn -b :1,:2", {}, ["tcp:0.0.0.0:1", "tcp:0.0.0.0:2"], "ExecStart"),
        ("gunicorn -b unix:a.sock --chdir sub", {}, ["unix:/nonexistent/sub/a.sock"], "ExecStart"),
    ],
)
def test_binds(command: str, environment: dict[str, str], binds: list[str], source: str) -> None:
    reading = read(command, Path("/nonexistent"), environment=environment)
    assert (reading.binds, reading.binds_known, reading.binds_from) == (binds, True, source)


@pytest.mark.parametrize("bind", ["fd://3", "0.0.0.0:$PORT"])
def test_binds_that_cannot_be_told(bind: str) -> None:
    assert not read(f"gunicorn -b {bind}", Path("/nonexistent")).binds_known


def test_each_source_wins_over_those_below(tmp_path: Path) -> None:
    (tmp_path / "gunicorn.conf.py").write_text("workers = 2\ntimeout = 20\nthreads = 20\nbacklog = 20\n")
    environment = {"WEB_CONCURRENCY": "1", "GUNICORN_CMD_ARGS": "--timeout=30 --threads 30 --preload"}
    reading = read("gunicorn --threads 40 app:app", tmp_path, environment=environment)
    file = str(tmp_path / "gunicorn.conf.py")
    assert {name: both(reading, name) for name in ("workers", "timeout", "threads", "backlog", "preload_app")} == {
        "workers": (2, file),
        "timeout": (30, "GUNICORN_CMD_ARGS"),
        "threads": (40, "ExecStart"),
        "backlog": (20, file),
        "preload_app": (True, "GUNICORN_CMD_ARGS"),
    }
    assert both(read("gunicorn", Path("/nonexistent"), environment=environment), "workers") == (1, "WEB_CONCURRENCY")


def test_the_command_lines_file_takes_the_place_of_the_variables_and_of_the_unnamed_one(tmp_path: Path) -> None:
    for name, workers in (("gunicorn.conf.py", 1), ("variable.py", 2), ("line.py", 3)):
        (tmp_path / name).write_text(f"workers = {workers}\n")
    environment = {"GUNICORN_CMD_ARGS": "-c variable.py"}
    assert read("gunicorn", tmp_path).get("workers") == 1
    assert read("gunicorn", tmp_path, environment=environment).get("workers") == 2
    assert read("gunicorn -c file:line.py", tmp_path, environment=environment).get("workers") == 3


@pytest.mark.parametrize(
    ("options", "worker_class", "idle", "concurrency"),
    [
        ("-w 3", "sync", 0, 3),
        ("-w 3 --keep-alive 75", "sync", 0, 3),
        ("-w 3 --threads 4", "gthread", 2, 12),
        ("-w 3 -k gthread --keep-alive 75", "gthread", 75, 3),
        ("-w 3 -k gevent", "gevent", 2, 3000),
        ("-w 3 -k gevent --threads 4", "gevent", 2, 3000),
        ("-k uvicorn.workers.UvicornWorker --keep-alive 9", "uvicorn.workers.UvicornWorker", 9, 1000),
    ],
)
def test_what_the_worker_class_makes_of_it(options: str, worker_class: str, idle: int, concurrency: int) -> None:
    reading = read(f"gunicorn {options}", Path("/nonexistent"))
    found = [reading.get(name) for name in ("worker_class", "idle_timeout", "concurrency")]
    assert found == [worker_class, idle, concurrency]


@pytest.mark.parametrize(
    ("file", "missed"),
    [
        pytest.param("workers = \n", "not Python that can be read", id="not Python"),
        pytest.param("#" * (1 << 20) + "\n", "larger than 1 MiB", id="too large to be a settings file"),
        pytest.param("#" * (1 << 17) + "\n", "larger than 64 KiB", id="too large to be parsed"),
        pytest.param("from base import *\n", "it takes all names of another module", id="a star import"),
    ],
)
def test_a_file_that_cannot_be_read_hides_what_it_might_set(tmp_path: Path, file: str, missed: str) -> None:
    (tmp_path / "gunicorn.conf.py").write_text(file)
    notes = Notes()
    reading = read("gunicorn -b :1", tmp_path, notes=notes)
    path = str(tmp_path / "gunicorn.conf.py")
    assert both(reading, "workers") == (None, path)
    assert both(reading, "concurrency") == (None, path)
    assert (reading.binds, reading.binds_known, reading.settings_known) == (["tcp:0.0.0.0:1"], True, False)
    assert [entry["what"] for entry in notes.entries] == [f"gunicorn settings {path}"]
    assert missed in notes.entries[0]["why"]


def test_a_computed_setting_is_unknown_and_the_others_are_not(tmp_path: Path) -> None:
    (tmp_path / "gunicorn.conf.py").write_text("worker_class = choose()\nworkers = 3\nbind = addresses()\n")
    reading = read("gunicorn", tmp_path)
    assert [reading.get(name) for name in ("worker_class", "idle_timeout", "workers")] == [None, None, 3]
    assert (reading.binds, reading.binds_known, reading.settings_known) == ([], False, False)


def test_a_named_file_that_is_missing_is_said_and_an_unnamed_one_is_none() -> None:
    notes = Notes()
    reading = read("gunicorn -c gone.py", Path("/nonexistent"), notes=notes)
    assert (reading.get("workers"), reading.binds_known) == (None, False)
    assert notes.entries == [{"what": "gunicorn settings /nonexistent/gone.py", "why": "No such file or directory"}]
    notes = Notes()
    assert (read("gunicorn", Path("/nonexistent"), notes=notes).settings_known, notes.entries) == (True, [])


def test_without_directory_and_environment_only_the_command_line_is_known() -> None:
    reading = read("gunicorn -w 3", None)
    assert both(reading, "workers") == (3, "ExecStart")
    assert (reading.get("timeout"), reading.binds, reading.binds_known) == (None, [], False)


def test_a_paste_file_stands_below_the_settings_file(tmp_path: Path) -> None:
    (tmp_path / "app.ini").write_text(
        "[server:main]\nuse = egg:gunicorn\nhost = 1.2.3.4\nport = 80\nworkers = 5\ntimeout = 7\n"
    )
    (tmp_path / "gunicorn.conf.py").write_text("timeout = 8\n")
    reading = read("gunicorn --paste app.ini", tmp_path)
    assert (reading.binds, reading.get("workers"), reading.get("timeout")) == (["tcp:1.2.3.4:80"], 5, 8)


COMPARED = (
    "workers",
    "threads",
    "timeout",
    "keepalive",
    "backlog",
    "max_requests",
    "worker_connections",
    "preload_app",
)


@pytest.mark.parametrize(
    ("command", "environment", "file"),
    [
        ("-w 3", {"WEB_CONCURRENCY": "5"}, "workers = 7\n"),
        ("--threads=2 --preload", {"GUNICORN_CMD_ARGS": "--workers 4 -t 9 --threads 8"}, "keepalive = 60\n"),
        ("", {"PORT": "7123", "WEB_CONCURRENCY": "5"}, ""),
        (
            "--max-requests 10",
            {"A": "12"},
            "import os\nworkers = int(os.environ['A']) // 2\nbind = f'[::1]:{workers}'\n",
        ),
        ("-b unix:/run/x.sock -b 127.0.0.1:1", {"GUNICORN_CMD_ARGS": "-b :5 --backlog 9"}, "bind = '127.0.0.1:2'\n"),
    ],
)
def test_the_same_as_gunicorn_itself_says(tmp_path: Path, command: str, environment: dict[str, str], file: str) -> None:
    pytest.importorskip("gunicorn")
    (tmp_path / "gunicorn.conf.py").write_text(file)
    (tmp_path / "app.py").write_text("app = None\n")
    printed = subprocess.run(
        [sys.executable, "-m", "gunicorn", "--print-config", *command.split(), "app:app"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    said = dict(re.findall(r"^(\w+) += (.*)$", printed, re.MULTILINE))
    reading = read(f"gunicorn {command} app:app", tmp_path, environment=environment)
    assert {name: str(reading.get(name)) for name in COMPARED} == {name: said[name] for name in COMPARED}
    addresses = [f"unix:{one}" if one.startswith("/") else one for one in re.findall(r"'([^']*)'", said["bind"])]
    keys = [one if one.startswith("unix:") else f"tcp:{one}" for one in addresses]
    assert reading.binds == [re.sub("^tcp::", "tcp:0.0.0.0:", key).replace("unix:unix:", "unix:") for key in keys]
