# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What lines of nginx's error log are folded into."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import (
    ErrorLogEvent,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._logs._error_lines import (
    ErrorLines,
    error_stamp,
    text_of_json,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._logs._fold import KINDS
from ansible_collections.sre.bad_gateway.tests.unit.plugins.module_utils._observe._logs._error_lines import (
    ALL,
    CONNECTING,
    HEADER,
    REFUSED,
    line,
)


def folded(*texts: str, begin: str = ALL) -> ErrorLines:
    lines = ErrorLines(begin=begin)
    lines.add("".join(f"{text}\n" for text in texts).encode())
    return lines


def event(text: str) -> ErrorLogEvent:
    (found,) = folded(text).events()
    return found


def test_fields_are_taken_one_by_one() -> None:
    found = event(line(REFUSED))
    assert (found["signature"], found["level"], found["errno"], found["server"], found["upstream"]) == (
        "connect_refused",
        "error",
        111,
        "shop.example",
        "http://127.0.0.1:8000",
    )


def test_a_line_cut_before_its_upstream_keeps_the_rest() -> None:
    found = event(line(f"upstream prematurely closed connection {HEADER}")[:200])
    assert (found["signature"], found["server"], found["upstream"], found["endpoint"]) == (
        "closed_before_header",
        "shop.example",
        None,
        None,
    )


def test_the_address_in_the_message_outlives_a_cut_and_says_the_path_as_it_was_written() -> None:
    message = f"connect() to unix:/run/a.sock: failed (2: No such file or directory) {CONNECTING}"
    assert event(line(message, level="crit")[:160])["endpoint"] == "unix:/run/a.sock:"
    assert event(line(message, upstream="http://unix:/run/a.sock::/"))["endpoint"] == "unix:/run/a.sock:"


@pytest.mark.parametrize(
    ("upstream", "shown", "endpoint"),
    [
        ("http://127.0.0.1:8000/a?k=v", "http://127.0.0.1:8000", "tcp:127.0.0.1:8000"),
        ("https://[::1]:8443/x", "https://[::1]:8443", "tcp:[::1]:8443"),
        ("http://unix:/run/x.sock:/a", "http://unix:/run/x.sock", "unix:/run/x.sock"),
        ("fastcgi://unix:/run/php.sock:", "fastcgi://unix:/run/php.sock", "unix:/run/php.sock"),
        ("http://backend/a", "http://backend", None),
    ],
)
def test_the_peer_without_its_uri(upstream: str, shown: str, endpoint: str | None) -> None:
    found = event(line(f"no live upstreams {CONNECTING}", upstream=upstream))
    assert (found["upstream"], found["endpoint"]) == (shown, endpoint)


def test_an_upstream_that_a_client_writes_into_its_request_is_not_believed() -> None:
    forged = 'GET /", upstream: "http://192.0.2.66:1/ HTTP/1.1'
    assert event(line(REFUSED, request=forged))["endpoint"] == "tcp:127.0.0.1:8000"


@pytest.mark.parametrize("server", ["", "cut"])
def test_an_empty_or_cut_server_is_none(server: str) -> None:
    text = line(f"no live upstreams {CONNECTING}", server="")
    assert event(text if server == "" else text[: text.index(", server: ")])["server"] is None


def test_lines_of_one_kind_are_one_event() -> None:
    lines = folded(
        "the rest of a message with a line feed in it",
        line(REFUSED, time="2026/11/21 03:50:01"),
        line(REFUSED, time="2026/11/21 03:50:59", upstream="http://127.0.0.1:8000/b"),
        line(REFUSED, time="2026/11/21 03:51:00", subrequest="/auth"),
        line(REFUSED, upstream="http://127.0.0.1:8001/a"),
        line("upstream did something new"),
        line('open() "/x" failed (2: No such file or directory)', upstream=None),
    )
    events = lines.events()
    assert [(event["endpoint"], event["count"], event["subrequests"]) for event in events] == [
        ("tcp:127.0.0.1:8000", 3, 1),
        ("tcp:127.0.0.1:8001", 1, 0),
    ]
    assert events[0]["per_minute"] == {"2026/11/21 03:50": 2, "2026/11/21 03:51": 1}
    assert (events[0]["first"], events[0]["last"]) == ("2026/11/21 03:50:01", "2026/11/21 03:51:00")
    assert "k=v" not in events[0]["sample"]
    assert (lines.lines, lines.unclassified, lines.since) == (7, 1, "2026/11/21 03:50:01")


@pytest.mark.parametrize(("newest", "ended"), [(4711, False), (4712, True)])
def test_whether_who_wrote_the_newest_line_still_runs(tmp_path: Path, newest: int, ended: bool) -> None:
    (tmp_path / "4711").mkdir()
    older = {4711: 4712, 4712: 4711}[newest]
    lines = ErrorLines(begin=ALL, proc=tmp_path)
    newer = ((older, "03:51:00"), (newest, "03:51:01"))
    for block in (newer, ((older, "03:50:59"),)):  # rotated files come later
        said = [line(REFUSED, time=f"2026/11/21 {time}").replace("972#972", f"{pid}#{pid}") for pid, time in block]
        lines.add("\n".join(said).encode())
    assert [found["writer_ended"] for found in lines.events()] == [ended]


def test_details_are_counted() -> None:
    status = "auth request unexpected status: {} while sending to client"
    lines = folded(*(line(status.format(number), upstream=None) for number in (502, 404, 502)))
    assert [found["details"] for found in lines.events()] == [{"502": 2, "404": 1}]


def test_lines_before_the_window_do_not_count() -> None:
    lines = folded(
        line(REFUSED, time="2026/11/20 03:50:00"),
        line(REFUSED, time="2026/11/20 03:50:01"),
        begin="2026/11/20 03:50:01",
    )
    assert (lines.lines, lines.since, [found["count"] for found in lines.events()]) == (1, "2026/11/20 03:50:01", [1])


def test_older_files_come_after_newer_ones() -> None:
    lines = folded(line(REFUSED, time="2026/11/21 03:50:01"))
    lines.add(f"{line(REFUSED, time='2026/11/20 23:00:00')}\n".encode())
    (found,) = lines.events()
    assert (found["first"], found["last"], lines.since) == (
        "2026/11/20 23:00:00",
        "2026/11/21 03:50:01",
        "2026/11/20 23:00:00",
    )
    assert list(found["per_minute"]) == ["2026/11/20 23:00", "2026/11/21 03:50"]


def test_notes_of_nginx_about_buffering_are_no_unknown_failures() -> None:
    note = "an upstream response is buffered to a temporary file /x while reading upstream"
    assert folded(line(note, level="warn")).unclassified == 0


def test_kinds_are_bounded() -> None:
    lines = folded(*(line(REFUSED, upstream=f"http://127.0.0.1:{port}/") for port in range(1000, 1010 + KINDS)))
    assert (len(lines.events()), lines.tallies.left_out) == (KINDS, 10)


def test_details_and_minutes_are_bounded() -> None:
    times = [
        f"2026/11/{day:02d} {hour:02d}:{minute:02d}:00"
        for day in (20, 21)
        for hour in range(24)
        for minute in range(60)
    ]
    texts = (
        line(f"auth request unexpected status: {500 + index}", time=time, upstream=None)
        for index, time in enumerate(times)
    )
    (found,) = folded(*texts).events()
    assert (found["count"], len(found["details"]), len(found["per_minute"])) == (2880, 8, 240)
    assert (min(found["per_minute"]), max(found["per_minute"])) == ("2026/11/21 20:00", "2026/11/21 23:59")


JSON = {
    "timestamp": "2026-11-21T03:50:01+00:00",
    "level": "error",
    "pid": 972,
    "tid": 972,
    "cnum": 17,
    "msg": "connect() failed while connecting to upstream",
    "client": "192.0.2.9",
    "server": "shop.example",
    "request": "GET /a HTTP/1.1",
    "upstream": "http://127.0.0.1:8000/a",
    "errno": 111,
    "errtext": "Connection refused",
}


def test_lines_in_json_are_the_same_lines() -> None:
    found = event(json.dumps(JSON))
    assert (found["signature"], found["errno"], found["endpoint"], found["first"]) == (
        "connect_refused",
        111,
        "tcp:127.0.0.1:8000",
        "2026/11/21 03:50:01",
    )
    assert error_stamp(json.dumps(JSON).encode()) == "2026/11/21 03:50:01"


@pytest.mark.parametrize("raw", [b"{", b"{}", b"{1}", b'{"timestamp": 3}', b"{\xff\x00"])
def test_what_only_looks_like_json_stays(raw: bytes) -> None:
    assert text_of_json(raw) == raw
