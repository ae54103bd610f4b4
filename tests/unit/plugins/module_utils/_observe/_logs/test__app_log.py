# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which logs of app servers are read, and when their lines were written."""

from __future__ import annotations

import calendar
import time
from pathlib import Path
from typing import Any, Iterator, cast

import pytest

from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import AppServer
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._logs._app_log import (
    app_logs,
    read_app_logs,
    stamp,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._shared import Notes

SINCE = float(calendar.timegm((2026, 11, 21, 8, 0, 0)))


@pytest.fixture(autouse=True)
def _utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def read(tmp_path: Path, text: str, *, notes: Notes) -> list[tuple[str, str]]:
    log = tmp_path / "app.log"
    log.write_text(text, encoding="utf-8")
    found = list(read_app_logs([("shop.service", str(log))], since=SINCE, notes=notes))
    assert {(entry.unit, entry.pid) for entry in found} <= {("shop.service", str(log))}
    return [(entry.time, entry.message) for entry in found]


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (b"[2026-11-21 08:21:45 +0000] [120] [INFO] Booting worker with pid: 210", "2026/11/21 08:21:45"),
        (b"[21-Nov-2026 08:21:52] NOTICE: ready to handle connections", "2026/11/21 08:21:52"),
        (b"[21-Nov-2026 08:21:52.123456] DEBUG: pid 1, main(), line 1: x", "2026/11/21 08:21:52"),
        (b"Sat Nov 21 08:21:49 2026 - *** HARAKIRI ON WORKER 1 (pid: 167, try: 1) ***", "2026/11/21 08:21:49"),
        (b"*** Starting uWSGI 2.0.21-debian (64bit) on [Sun Nov  1 08:21:49 2026] ***", "2026/11/01 08:21:49"),
        (b"[21-Foo-2026 08:21:52] NOTICE: no month", None),
        (b"Respawned uWSGI worker 1 (new pid: 168)", None),
        (b"", None),
    ],
)
def test_times(line: bytes, found: str | None) -> None:
    assert stamp(line) == found


def app(settings: dict[str, Any], *, unit: str | None = "shop.service") -> AppServer:
    return cast(AppServer, {"unit": unit, "settings": settings})


@pytest.mark.parametrize(
    ("one", "paths"),
    [
        (app({"error_log": "/var/log/php8.2-fpm.log"}), ["/var/log/php8.2-fpm.log"]),
        (app({"errorlog": "/var/log/gunicorn.log"}), ["/var/log/gunicorn.log"]),
        (app({"logto": "/var/log/a.log", "daemonize": "/var/log/b.log"}), ["/var/log/a.log", "/var/log/b.log"]),
        (app({"errorlog": "-", "logto": None, "daemonize": "192.0.2.1:514"}), []),
        (app({"error_log": "syslog"}), []),
        (app({"errorlog": "/var/log/gunicorn.log"}, unit=None), []),
    ],
)
def test_which_logs_are_read(one: AppServer, paths: list[str]) -> None:
    assert list(app_logs([one])) == [("shop.service", path) for path in paths]


def test_a_line_without_a_time_is_of_the_time_before_it(tmp_path: Path) -> None:
    notes = Notes()
    lines = (
        "of unknown age\n"
        "Sat Nov 21 07:59:59 2026 - too old\n"
        "too old as well\n"
        "Sat Nov 21 08:21:49 2026 - *** HARAKIRI ON WORKER 1 (pid: 167, try: 1) ***\n"
        "DAMN ! worker 1 (pid: 167) died, killed by signal 9 :( trying respawn ...\n"
    )
    found = read(tmp_path, lines, notes=notes)
    assert [at for at, _message in found] == ["2026/11/21 08:21:49"] * 2
    assert [message for _at, message in found] == lines.splitlines()[3:]
    assert notes.entries == []


def test_a_log_without_times_is_said(tmp_path: Path) -> None:
    notes = Notes()
    assert read(tmp_path, "DAMN ! worker 1 (pid: 167) died\n", notes=notes) == []
    assert [missed["why"] for missed in notes.entries] == ["its lines bear no time"]


@pytest.mark.parametrize(
    ("target", "why"),
    [
        ("/dev/stderr", "leads to /dev/stderr: the journal or the container's log has it"),
        ("/", "not a regular file"),
    ],
)
def test_what_cannot_be_read_is_said(target: str, why: str, tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    log.symlink_to(target)
    notes = Notes()
    assert list(read_app_logs([("shop.service", str(log))], since=SINCE, notes=notes)) == []
    assert notes.entries == [{"what": f"log {log} of shop.service", "why": why}]


def test_a_log_that_was_never_written_says_nothing(tmp_path: Path) -> None:
    notes = Notes()
    assert list(read_app_logs([("shop.service", str(tmp_path / "no.log"))], since=SINCE, notes=notes)) == []
    assert notes.entries == []


def test_so_many_logs_at_most(tmp_path: Path) -> None:
    notes = Notes()
    logs = [("shop.service", str(tmp_path / f"{number}.log")) for number in range(20)]
    for _unit, path in logs:
        Path(path).write_text("[21-Nov-2026 08:21:52] x\n", encoding="utf-8")
    assert len(list(read_app_logs(logs, since=SINCE, notes=notes))) == 16
    assert [missed["why"] for missed in notes.entries] == ["only 16 logs of app servers are read"] * 4
