# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is read of nginx's error logs, and what is said of those that cannot be read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import (
    ErrorLog,
    ErrorLogSetting,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._logs import _journal
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._logs._error_log import (
    read_error_logs,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._logs._files import Window
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._shared import Notes, Ran
from ansible_collections.sre.bad_gateway.tests.unit.plugins.module_utils._observe._logs._error_lines import (
    CONNECTING,
    REFUSED,
    line,
)
from ansible_collections.sre.bad_gateway.tests.unit.plugins.module_utils._observe._logs._journalctl import (
    Fake,
    answer,
    printed,
)

TO_STDERR = "goes to the standard error of nginx, and so to the journal or a container's log"


def setting(destination: str) -> ErrorLogSetting:
    return ErrorLogSetting(destination=destination, level="error", file="/etc/nginx/nginx.conf", line=3)


def read(
    *destinations: str, notes: Notes, limit: int = 1 << 20, units: dict[str, list[str]] | None = None
) -> list[ErrorLog]:
    window = Window(since=0, limit=limit)
    return read_error_logs(
        [setting(destination) for destination in destinations], units=units or {}, window=window, notes=notes
    )


def only(destination: str, notes: Notes) -> ErrorLog:
    (log,) = read(destination, destination, notes=notes)
    return log


def test_bytes_of_any_sort_are_read(tmp_path: Path) -> None:
    path = tmp_path / "error.log"
    whole = line(REFUSED).encode()
    path.write_bytes(
        bytes(range(256)) * 4096 + b"\n" + b"x" * (10 << 20) + b"\n" + whole + b"\n" + whole[:60] + b"\0\xff"
    )
    log = only(str(path), Notes())
    assert [(found["signature"], found["count"]) for found in log["events"]] == [("connect_refused", 1)]
    assert json.dumps(log).encode("utf-8")


@pytest.mark.parametrize(
    ("destination", "why"),
    [
        ("syslog:server=192.0.2.1", "goes to syslog"),
        ("memory:32m", "kept in nginx's memory only"),
        ("stderr", TO_STDERR),
        ("/dev/null", "thrown away by the configuration"),
        ("/nonexistent/error.log", "No such file or directory"),
        ("/dev/zero", "not a regular file"),
    ],
)
def test_what_cannot_be_read_is_said(destination: str, why: str) -> None:
    notes = Notes()
    log = only(destination, notes)
    assert (log["available"], log["why"]) == (False, why)
    assert notes.entries == [{"what": f"error log {destination}", "why": why}]


def test_a_log_that_leads_to_standard_error_is_not_our_own_standard_error(tmp_path: Path) -> None:
    (tmp_path / "error.log").symlink_to("/dev/stderr")
    log = only(str(tmp_path / "error.log"), Notes())
    assert (log["available"], log["why"]) == (
        False,
        "leads to /dev/stderr: the journal or the container's log has it",
    )


def test_a_log_file_is_read_once(tmp_path: Path) -> None:
    path = tmp_path / "error.log"
    path.write_text(line(f"no live upstreams {CONNECTING}", upstream="http://two/a") + "\n")
    (tmp_path / "same.log").symlink_to(path)
    notes = Notes()
    log, other = read(str(path), str(tmp_path / "same.log"), notes=notes)
    assert (log["available"], log["lines"], log["size"]) == (True, 1, path.stat().st_size)
    assert [(found["signature"], found["upstream"], found["endpoint"]) for found in log["events"]] == [
        ("no_live_upstreams", "http://two", None)
    ]
    assert (other["available"], other["events"]) == (False, [])
    assert [entry["why"] for entry in notes.entries] == ["another name of a log that was read already"]


def test_lines_that_were_left_out_are_said(tmp_path: Path) -> None:
    path, notes = tmp_path / "error.log", Notes()
    path.write_text((line(REFUSED) + "\n") * 100)
    (log,) = read(str(path), notes=notes)
    assert (log["lines"], log["whole"], notes.entries) == (100, True, [])
    (log,) = read(str(path), notes=notes, limit=path.stat().st_size // 2)
    assert (log["lines"], log["whole"]) == (50, False)
    why = f"only its newest {path.stat().st_size // 2:,} bytes were read"
    assert notes.entries == [{"what": f"older lines of error log {path}", "why": why}]


def test_many_logs_share_what_one_of_them_could_take(tmp_path: Path) -> None:
    paths = [tmp_path / f"{name}.log" for name in "abcdefgh"]
    for path in paths:
        path.write_text((line(REFUSED) + "\n") * 100)
    paths[3].write_text(line(REFUSED) + "\n")
    logs = read(*map(str, paths), notes=Notes(), limit=10_000)
    assert [log["path"] for log in logs] == list(map(str, paths))
    assert sum(log["bytes_read"] for log in logs) <= 4 * 10_000
    assert logs[3]["lines"] == 1
    assert all(log["events"] for log in logs)


STDERR = line(REFUSED)
SYSLOG = f"web1 nginx: {STDERR}"


@pytest.mark.parametrize(
    ("destination", "said", "way"),
    [
        pytest.param("stderr", STDERR, "stdout", id="standard error"),
        pytest.param("syslog:server=unix:/dev/log,nohostname", SYSLOG, "syslog", id="syslog"),
    ],
)
def test_what_goes_to_the_journal_is_read_there(
    destination: str, said: str, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = Fake(answer(printed("[emerg] of nginx -t"), *[printed(said, _SYSTEMD_UNIT="nginx.service")] * 2))
    monkeypatch.setattr(_journal, "run", fake)
    notes = Notes()
    (log,) = read(destination, notes=notes, units={destination: ["nginx.service"]})
    assert (log["path"], log["available"], log["lines"]) == (destination, True, 2)
    assert [(found["signature"], found["endpoint"], found["count"]) for found in log["events"]] == [
        ("connect_refused", "tcp:127.0.0.1:8000", 2)
    ]
    assert log["events"][0]["sample"].startswith("2026/11/21 03:50:01 [error]")
    assert fake.asked[0][-2:] == [f"_TRANSPORT={way}", "_SYSTEMD_UNIT=nginx.service"]
    assert notes.entries == []


@pytest.mark.parametrize(
    ("told", "why"),
    [
        (
            answer(),
            f"{TO_STDERR}; that of nginx.service has no line of it",
        ),
        (answer(status=1, stderr="No journal files were found."), "No journal files were found."),
    ],
    ids=["silent or unheard", "no journal"],
)
def test_a_journal_that_tells_nothing_proves_no_silence(told: Ran, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_journal, "run", Fake(told))
    notes = Notes()
    (log,) = read("stderr", notes=notes, units={"stderr": ["nginx.service"]})
    assert (log["available"], log["why"]) == (False, why)
    assert notes.entries == [{"what": "error log stderr", "why": why}]


@pytest.mark.parametrize("destination", ["/dev/null", "syslog:server=192.0.2.1", "syslog:server=unix:/run/other"])
def test_no_journal_is_asked_for_what_goes_elsewhere(destination: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = Fake(answer())
    monkeypatch.setattr(_journal, "run", fake)
    (log,) = read(destination, notes=Notes(), units={destination: ["nginx.service"]})
    assert (log["available"], fake.asked) == (False, [])
