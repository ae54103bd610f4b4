# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""puma's settings, from plain lines of its file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._app_servers._puma import (
    parse_puma_file,
    read_puma,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._app_servers._reading import UNKNOWN, Reading
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._app_servers._start import Start
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._shared import Notes


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("workers 2", [("workers", [2])]),
        ("workers(2) # two", [("workers", [2])]),
        ("threads 1, 5", [("threads", [1, 5])]),
        ("threads(1, 5)", [("threads", [1, 5])]),
        ("bind 'unix:///run/a.sock'", [("bind", ["unix:///run/a.sock"])]),
        ('port ENV.fetch("PORT") { 3000 }', [("port", ["9292"])]),
        ('port ENV.fetch("GONE", 3000)', [("port", [3000])]),
        ("port(ENV['GONE'] || 3000)", [("port", [3000])]),
        ("port ENV['GONE']", [("port", [UNKNOWN])]),
        ('workers Integer(ENV["WORKERS"] || 2)', [("workers", ["4"])]),
        ('workers ENV.fetch("GONE") { 2 }.to_i', [("workers", [2])]),
        ('count = ENV.fetch("GONE") { 5 }\nthreads count, count', [("threads", [5, 5])]),
        ('dir = "/srv"\nbind "unix://#{dir}/a.sock"', [("bind", ["unix:///srv/a.sock"])]),
        ("workers Etc.nprocessors", [("workers", [UNKNOWN])]),
        ("workers 2 if ENV['RAILS_ENV'] == 'production'", [("workers", [UNKNOWN])]),
        ("if production?\n  workers 2\nend\nworkers 3", [("workers", [UNKNOWN]), ("workers", [3])]),
        ("on_worker_boot do |index|\n  connect\nend\nport 1", [("port", [1])]),
        ("preload_app!", [("preload_app", [True])]),
        ("# workers 2\nplugin :tmp_restart\n", []),
    ],
)
def test_statements(text: str, found: list[tuple[str, list[Any]]]) -> None:
    assert parse_puma_file(text, {"PORT": "9292", "WORKERS": "4"}) == found


def read(
    command: str,
    directory: Path | None = Path("/nonexistent"),
    *,
    version: str = "6.4.0",
    notes: Notes | None = None,
    environment: dict[str, str] | None = None,
) -> Reading:
    start = Start(argv=tuple(command.split()), environment=environment or {}, directory=directory, source="ExecStart")
    return read_puma(start, notes=notes or Notes(), version=version)


@pytest.mark.parametrize(
    ("version", "binds", "idle", "threads"),
    [
        ("4.3.1", ["tcp:0.0.0.0:9292"], 20, 16),
        ("6.4.0", ["tcp:0.0.0.0:9292"], 20, 5),
        ("7.0.0", ["tcp:0.0.0.0:9292"], 65, 5),
        ("8.0.2", ["tcp:[::]:9292"], 65, 5),
        ("", [], None, None),
    ],
)
def test_defaults_by_version(version: str, binds: list[str], idle: int | None, threads: int | None) -> None:
    reading = read("puma", version=version)
    assert (reading.binds, reading.get("idle_timeout"), reading.get("threads")) == (binds, idle, threads)
    assert (reading.binds_known, reading.settings_known) == (bool(binds), bool(version))


def test_precedence(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config/puma.rb").write_text("workers 2\nthreads 1, 3\nbind 'unix:///run/a.sock'\nworker_timeout 30\n")
    reading = read("puma", tmp_path, environment={"WEB_CONCURRENCY": "9", "PORT": "1"})
    file = str(tmp_path / "config/puma.rb")
    assert (reading.binds, reading.binds_from) == (["unix:/run/a.sock"], file)
    names = ("workers", "threads", "min_threads", "concurrency", "request_timeout")
    assert [reading.get(name) for name in names] == [2, 3, 1, 6, 30]
    reading = read("puma -b tcp://127.0.0.1:5 -w 0 -t 2:4", tmp_path)
    assert (reading.binds, reading.binds_from) == (["tcp:127.0.0.1:5"], "ExecStart")
    assert [reading.get(name) for name in names] == [0, 4, 2, 4, 0]
    assert read("puma", environment={"PORT": "1"}).binds == ["tcp:0.0.0.0:1"]


def test_a_named_file_that_is_missing_is_said() -> None:
    notes = Notes()
    reading = read("puma -C /nonexistent.rb", notes=notes)
    assert (reading.get("workers"), reading.binds_known, reading.settings_known) == (None, False, False)
    assert notes.entries == [{"what": "puma settings /nonexistent.rb", "why": "No such file or directory"}]


def test_without_directory_and_environment_only_the_command_line_is_known() -> None:
    reading = read("puma -w 3", None)
    assert (reading.get("workers"), reading.get("threads"), reading.binds_known) == (3, None, False)
