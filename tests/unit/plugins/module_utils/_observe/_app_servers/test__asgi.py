# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""uvicorn and its like."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._app_servers._asgi import (
    read_granian,
    read_hypercorn,
    read_uvicorn,
    read_waitress,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._app_servers._start import Start
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._shared import Notes


def start(command: str, environment: dict[str, str] | None = None, *, directory: Path | None = Path("/srv")) -> Start:
    return Start(argv=tuple(command.split()), environment=environment or {}, directory=directory, source="ExecStart")


@pytest.mark.parametrize(
    ("command", "environment", "binds", "source"),
    [
        ("uvicorn app:app", {}, ["tcp:127.0.0.1:8000"], "default"),
        ("uvicorn app:app --host :: --port 9000", {}, ["tcp:[::]:9000"], "ExecStart"),
        (
            "uvicorn --port 9000",
            {"UVICORN_PORT": "1", "UVICORN_HOST": "0.0.0.0"},
            ["tcp:0.0.0.0:9000"],
            "UVICORN_HOST",
        ),
        ("uvicorn app:app --uds /run/a.sock", {}, ["unix:/run/a.sock"], "ExecStart"),
        ("uvicorn app:app --uds a.sock", {}, ["unix:/srv/a.sock"], "ExecStart"),
        ("uvicorn app:app --uds /run/a.sock", {"UVICORN_PORT": "1"}, ["unix:/run/a.sock"], "ExecStart"),
    ],
)
def test_uvicorns_binds(command: str, environment: dict[str, str], binds: list[str], source: str) -> None:
    reading = read_uvicorn(start(command, environment), notes=Notes())
    assert (reading.binds, reading.binds_known, reading.binds_from) == (binds, True, source)


@pytest.mark.parametrize("command", ["uvicorn --fd 3", "uvicorn --port $PORT"])
def test_binds_that_cannot_be_told(command: str) -> None:
    assert not read_uvicorn(start(command), notes=Notes()).binds_known


@pytest.mark.parametrize(
    ("command", "environment", "expected"),
    [
        ("uvicorn", {}, {"workers": 1, "idle_timeout": 5, "concurrency": None, "backlog": 2048, "request_timeout": 0}),
        ("uvicorn", {"WEB_CONCURRENCY": "3"}, {"workers": 3}),
        ("uvicorn --workers 2", {"WEB_CONCURRENCY": "3"}, {"workers": 2}),
        ("uvicorn --limit-concurrency 10 --workers 2", {}, {"limit_concurrency": 10, "concurrency": 20}),
        ("uvicorn --timeout-keep-alive=75", {"UVICORN_TIMEOUT_KEEP_ALIVE": "7"}, {"idle_timeout": 75}),
        ("uvicorn", {"UVICORN_TIMEOUT_KEEP_ALIVE": "7"}, {"idle_timeout": 7}),
    ],
)
def test_uvicorns_settings(command: str, environment: dict[str, str], expected: dict[str, int | None]) -> None:
    reading = read_uvicorn(start(command, environment), notes=Notes())
    assert {name: reading.get(name) for name in expected} == expected
    assert reading.settings_known


def test_an_unknown_environment_may_set_anything() -> None:
    reading = read_uvicorn(start("uvicorn --port 80", directory=None), notes=Notes())
    assert (reading.get("workers"), reading.binds, reading.settings_known) == (None, [], False)


def test_hypercorn() -> None:
    reading = read_hypercorn(start("hypercorn -b :1 --bind unix:/s --keep-alive 9 app:app"), notes=Notes())
    assert (reading.binds, reading.binds_known) == (["tcp:0.0.0.0:1", "unix:/s"], True)
    assert [reading.get(name) for name in ("idle_timeout", "backlog", "workers")] == [9, 100, 1]
    assert read_hypercorn(start("hypercorn app:app"), notes=Notes()).binds == ["tcp:127.0.0.1:8000"]
    notes = Notes()
    reading = read_hypercorn(start("hypercorn -c hypercorn.toml -w 3 app:app"), notes=notes)
    assert (reading.get("workers"), reading.get("backlog"), reading.binds_known) == (3, None, False)
    assert notes.entries == [{"what": "hypercorn settings hypercorn.toml", "why": "not read"}]


def test_granian_and_waitress() -> None:
    granian = read_granian(start("granian --port 1 app:app", {"GRANIAN_HOST": "0.0.0.0"}), notes=Notes())
    assert (granian.binds, granian.get("backlog")) == (["tcp:0.0.0.0:1"], 1024)
    waitress = read_waitress(start("waitress-serve --listen=127.0.0.1:1 --listen [::1]:2 app:app"), notes=Notes())
    assert waitress.binds == ["tcp:127.0.0.1:1", "tcp:[::1]:2"]
    assert [waitress.get(name) for name in ("idle_timeout", "concurrency")] == [120, 4]
    assert read_waitress(start("waitress-serve app:app"), notes=Notes()).binds == ["tcp:0.0.0.0:8080"]
