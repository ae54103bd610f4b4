# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lines of access logs in formats as people write them, and what they are folded into."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.sre.bad_gateway.plugins.module_utils._nginx._logs import COMBINED
from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import AccessLog, AccessLogSetting
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._logs._access_format import (
    FormatError,
    read_format,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._logs._access_log import (
    AccessLines,
    read_access_logs,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._logs._files import Window
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._shared import Notes

UPSTREAM = (
    '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent rt=$request_time '
    'uct="$upstream_connect_time" us="$upstream_status" ua="$upstream_addr" host=$host'
)
JSON = (
    '{"time":"$time_iso8601","method":"$request_method","uri":"$request_uri","status":$status,'
    '"upstream":"$upstream_addr","upstream_status":"$upstream_status","seconds":$request_time,"name":"$server_name"}'
)
ALL = "0000/00/00 00:00:00"


def folded(form: str, *lines: str, begin: str = ALL) -> AccessLines:
    found = AccessLines(form=read_format(form), begin=begin)
    found.add("".join(f"{line}\n" for line in lines).encode())
    return found


def combined(status: str, *, time: str = "21/Nov/2026:03:50:01 +0100", request: str = "GET /a?token=x HTTP/1.1") -> str:
    return f'192.0.2.9 - - [{time}] "{request}" {status} 157 "-" "curl/8 (x; y) 502 "'


def upstream(status: str, tried: str, peer: str, *, seconds: str = "0.004", method: str = "GET") -> str:
    return (
        f'192.0.2.9 - al b [21/Nov/2026:03:50:01 +0100] "{method} /a HTTP/1.1" {status} 157 rt={seconds} '
        f'uct="-" us="{tried}" ua="{peer}" host=shop.example'
    )


def test_failures_in_the_combined_format() -> None:
    lines = folded(
        COMBINED, combined("200"), combined("502"), combined("502", request="POST /a HTTP/1.1"), combined("404")
    )
    (event,) = lines.events()
    assert (event["status"], event["count"], event["methods"]) == (502, 2, {"GET": 1, "POST": 1})
    assert (event["upstream_status"], event["upstream"], event["endpoint"], event["server"], event["slowest"]) == (
        None,
        None,
        None,
        None,
        None,
    )
    assert (event["first"], event["sample"]) == ("2026/11/21 03:50:01", "GET /a?*** HTTP/1.1")
    assert (lines.requests, lines.per_minute, lines.unread) == (4, {"2026/11/21 03:50": 4}, 0)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (upstream("200", "200", "127.0.0.1:8000"), None),
        (upstream("404", "404", "127.0.0.1:8000"), None),
        (upstream("502", "-", "-"), (502, "-", "-", None)),
        (upstream("502", "502", "127.0.0.1:8000"), (502, "502", "127.0.0.1:8000", "tcp:127.0.0.1:8000")),
        (upstream("502", "502", "two"), (502, "502", "two", None)),
        (
            upstream("200", "502, 200", "127.0.0.1:8000, unix:/run/b.sock"),
            (200, "502, 200", "127.0.0.1:8000, unix:/run/b.sock", "unix:/run/b.sock"),
        ),
        (
            upstream("500", "502 : 500", "[::1]:1 : 127.0.0.1:2"),
            (500, "502 : 500", "[::1]:1 : 127.0.0.1:2", "tcp:127.0.0.1:2"),
        ),
        (upstream("009", "200", "127.0.0.1:6379"), (9, "200", "127.0.0.1:6379", "tcp:127.0.0.1:6379")),
        (upstream("499", "-", "127.0.0.1:8000"), (499, "-", "127.0.0.1:8000", "tcp:127.0.0.1:8000")),
    ],
)
def test_what_is_told_of_upstreams(line: str, expected: tuple[Any, ...] | None) -> None:
    events = folded(UPSTREAM, line).events()
    assert [(one["status"], one["upstream_status"], one["upstream"], one["endpoint"]) for one in events] == (
        [expected] if expected else []
    )


def test_the_slowest_of_a_kind() -> None:
    (event,) = folded(
        UPSTREAM,
        upstream("504", "504", "127.0.0.1:1", seconds="60.001"),
        upstream("504", "504", "127.0.0.1:1", seconds="60.102", method="POST"),
    ).events()
    assert (event["slowest"], event["server"], event["methods"]) == (60.102, "shop.example", {"GET": 1, "POST": 1})


def test_json_lines_with_escaped_quotes() -> None:
    line = (
        '{"time":"2026-11-21T03:50:01+01:00","method":"GET","uri":"/a\\"b","status":502,'
        '"upstream":"127.0.0.1:8000","upstream_status":"502","seconds":0.001,"name":"shop.example"}'
    )
    lines = folded(JSON, line, line.replace(":502,", ":200,").replace('"502"', '"200"'))
    (event,) = lines.events()
    assert (event["status"], event["server"], event["methods"], event["sample"]) == (
        502,
        "shop.example",
        {"GET": 1},
        'GET /a\\"b',
    )
    assert lines.requests == 2


@pytest.mark.parametrize(
    ("form", "line", "time"),
    [
        ("$msec $status", "1795233001.123 502", None),
        ("$status ${time_iso8601}", "502 2026-11-21T03:50:01+00:00", "2026/11/21 03:50:01"),
        ("[$time_local]$status$request", "[21/Nov/2026:03:50:01 +0000]502GET / HTTP/1.0", "2026/11/21 03:50:01"),
    ],
)
def test_formats_with_little_in_them(form: str, line: str, time: str | None) -> None:
    lines = folded(form, line)
    (event,) = lines.events()
    assert event["status"] == 502
    assert event["first"] == (time or lines.since)
    assert lines.requests == 1


@pytest.mark.parametrize(
    ("form", "why"),
    [
        ("$remote_addr $status", "its format has no time"),
        ("[$time_local]", "its format has no $status"),
        ("", "its format has no time"),
    ],
)
def test_formats_that_tell_too_little(form: str, why: str) -> None:
    with pytest.raises(FormatError, match=why.replace("$", r"\$")):
        read_format(form)


def test_requests_before_the_window_do_not_count() -> None:
    lines = folded(
        COMBINED,
        combined("502", time="20/Nov/2026:03:49:59 +0100"),
        combined("502", time="20/Nov/2026:03:50:00 +0100"),
        begin="2026/11/20 03:50:00",
    )
    assert (lines.requests, lines.since, [event["count"] for event in lines.events()]) == (
        1,
        "2026/11/20 03:50:00",
        [1],
    )


def setting(destination: str, form: str = COMBINED) -> AccessLogSetting:
    return AccessLogSetting(destination=destination, format=form, server_names=[], file="/etc/nginx/nginx.conf", line=9)


def read(*settings: AccessLogSetting, notes: Notes) -> list[AccessLog]:
    return read_access_logs(settings, window=Window(since=0, limit=1 << 20), notes=notes)


def test_a_log_is_read_with_what_was_rotated_away(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    path.write_text(upstream("502", "502", "127.0.0.1:1") + "\n")
    (tmp_path / "access.log.1").write_text(upstream("200", "200", "127.0.0.1:1") + "\n")
    notes = Notes()
    log, other = read(setting(str(path), UPSTREAM), setting(str(tmp_path / "access.log.1"), UPSTREAM), notes=notes)
    assert (log["available"], log["requests"], log["has_upstream_status"]) == (True, 2, True)
    assert [Path(file).name for file in log["files_read"]] == ["access.log", "access.log.1"]
    assert (other["available"], len(notes.entries)) == (False, 1)
    assert json.dumps(log)


@pytest.mark.parametrize(
    ("destination", "form", "why"),
    [
        ("off", "", "switched off"),
        ("syslog:server=192.0.2.1", COMBINED, "goes to syslog"),
        ("/var/log/nginx/$host.log", COMBINED, "its name holds variables"),
        ("/nonexistent/access.log", COMBINED, "No such file or directory"),
        ("/dev/zero", COMBINED, "not a regular file"),
        ("LOG", "$status", "its format has no time"),
        (
            "LOG",
            UPSTREAM.replace("[$time_local]", "<$time_local>"),
            "no line in the window is in the format that the configuration gives it",
        ),
    ],
)
def test_what_cannot_be_read_is_said(destination: str, form: str, why: str, tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    path.write_bytes(b"\0\xff\n" + combined("502").encode() + b"\n")
    notes = Notes()
    destination = destination.replace("LOG", str(path))
    (log,) = read(setting(destination, form), notes=notes)
    assert (log["available"], log["why"], log["events"]) == (False, why, [])
    assert notes.entries == [{"what": f"access log {destination}", "why": why}]


def test_bytes_of_any_sort_are_read(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    path.write_bytes(
        bytes(range(256)) * 4096 + b"\n" + b'" 502 ' * (2 << 20) + b"\n" + combined("502").encode() + b"\n"
    )
    (log,) = read(setting(str(path)), notes=Notes())
    assert [(event["status"], event["count"]) for event in log["events"]] == [(502, 1)]
