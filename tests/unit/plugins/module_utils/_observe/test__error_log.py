# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lines of nginx's error log, as nginx 1.22 and 1.31 print them, and what they are folded into."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import ErrorLog, ErrorLogSetting
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._error_log import (
    LineReader,
    classify,
    endpoint_of,
    fold,
    read_error_logs,
    tail,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._shared import Notes

HEADER = "while reading response header from upstream"
CONNECTING = "while connecting to upstream"
TLS = "while SSL handshaking to upstream"


def line(
    message: str,
    *,
    time: str = "2026/11/21 03:50:01",
    level: str = "error",
    upstream: str | None = "http://127.0.0.1:8000/a?k=v",
) -> str:
    fields = 'client: 192.0.2.9, server: shop.example, request: "GET /a?k=v HTTP/1.1"'
    peer = f', upstream: "{upstream}"' if upstream else ""
    return f'{time} [{level}] 972#972: *17 {message}, {fields}{peer}, host: "shop.example"'


@pytest.mark.parametrize(
    ("head", "signature"),
    [
        (f"connect() failed (111: Connection refused) {CONNECTING}", "connect_refused"),
        (f"connect() to unix:/run/a b.sock failed (111: Connection refused) {CONNECTING}", "connect_refused"),
        (f"connect() to unix:/run/a.sock failed (111: Connection refused) {CONNECTING}", "connect_refused"),
        (f"connect() to unix:/run/a.sock failed (2: No such file or directory) {CONNECTING}", "connect_enoent"),
        (f"connect() to unix:/run/a.sock failed (13: Permission denied) {CONNECTING}", "connect_eacces"),
        (f"connect() to 192.0.2.1:80 failed (1: Operation not permitted) {CONNECTING}", "connect_eperm"),
        (
            f"connect() to unix:/run/a.sock failed (11: Resource temporarily unavailable) {CONNECTING}",
            "connect_eagain_unix",
        ),
        (f"connect() to unix:/run/a.sock failed (11: Operation would block) {CONNECTING}", "connect_eagain_unix"),
        (f"connect() to unix:/run/a.sock failed (91: Protocol wrong type for socket) {CONNECTING}", "connect_bad_path"),
        (f"connect() to [::1]:8080 failed (99: Address not available) {CONNECTING}", "connect_eaddrnotavail"),
        (f"connect() failed (113: No route to host) {CONNECTING}", "connect_unreach"),
        (f"connect() failed (110: Connection timed out) {CONNECTING}", "connect_kernel_timeout"),
        (f"connect() to 192.0.2.1:80 failed (97: Address family not supported) {CONNECTING}", "connect_other"),
        (f"upstream timed out (110: Connection timed out) {CONNECTING}", "timeout_connect"),
        (f"upstream timed out (110: Operation timed out) {TLS}", "timeout_tls"),
        ("upstream timed out (110: Connection timed out) while sending request to upstream", "timeout_send"),
        (f"upstream timed out (110: Connection timed out) {HEADER}", "timeout_header"),
        ("upstream timed out (110: Connection timed out) while reading upstream", "timeout_body"),
        (f"upstream prematurely closed connection {HEADER}", "closed_before_header"),
        ("upstream prematurely closed connection while reading upstream", "closed_in_body"),
        (f"recv() failed (104: Connection reset by peer) {HEADER}", "reset_before_header"),
        ("recv() failed (104: Connection reset by peer) while proxying upgraded connection", "reset_in_body"),
        ("writev() failed (32: Broken pipe) while sending request to upstream", "reset_on_send"),
        (f"upstream sent too big header {HEADER}", "too_big_header"),
        (f"upstream sent no valid HTTP/1.0 header {HEADER}", "not_http"),
        (f'upstream sent invalid header: "\\x20..." {HEADER}', "invalid_header"),
        (f'upstream sent duplicate header line: "Content-Length: 1" {HEADER}', "invalid_header"),
        (f"upstream sent unsupported FastCGI protocol version: 72 {HEADER}", "not_fastcgi"),
        (f"upstream prematurely closed FastCGI stdout {HEADER}", "fastcgi_closed"),
        (f'FastCGI sent in stderr: "Primary script unknown" {HEADER}', "fastcgi_stderr"),
        (f"upstream sent frame for unknown stream {HEADER}", "h2_upstream"),
        ("upstream sent invalid chunked response while reading upstream", "invalid_chunked"),
        (
            f"SSL_do_handshake() failed (SSL: error:0A00010B:SSL routines::wrong version number) {TLS}",
            "tls_plain_backend",
        ),
        (
            f"SSL_do_handshake() failed (SSL: error:0A000410:SSL routines::sslv3 alert handshake failure) {TLS}",
            "tls_alert",
        ),
        (f"peer closed connection in SSL handshake (104: Connection reset by peer) {TLS}", "tls_peer_closed"),
        (f"upstream SSL certificate verify error: (18:self-signed certificate) {TLS}", "tls_verify"),
        (f"no live upstreams {CONNECTING}", "no_live_upstreams"),
        (f"upstream server temporarily disabled {CONNECTING}", "peer_disabled"),
        ("send() failed (111: Connection refused) while resolving, resolver: 127.0.0.1:53", "resolver_io"),
        ("no resolver defined to resolve app.example", "no_resolver"),
        ("app.example could not be resolved (3: Host not found)", "resolve_failed"),
        ('invalid URL prefix in "ftp://x"', "bad_var_url"),
        ("bind(192.0.2.1) failed (99: Cannot assign requested address) while connecting to upstream", "bind_failed"),
        ("socket() failed (24: Too many open files) while connecting to upstream", "socket_failed"),
        ("768 worker_connections are not enough", "worker_connections"),
        ("auth request unexpected status: 502 while sending to client", "auth_request"),
        (
            "epoll_wait() reported that client prematurely closed connection, so upstream connection is closed too",
            "client_abort",
        ),
        (
            'open() "/var/lib/nginx/proxy/1/00/0000000001" failed (13: Permission denied) while reading upstream',
            "temp_file",
        ),
        ('open() "/var/cache/nginx/proxy_temp/1/00/0000000001" failed (28: No space left on device)', "temp_file"),
        ('open() "/var/www/html/favicon.ico" failed (2: No such file or directory)', None),
    ],
)
def test_signatures(head: str, signature: str | None) -> None:
    assert classify(head) == signature


def test_fields_are_taken_one_by_one() -> None:
    parsed = LineReader().parse(line(f"connect() failed (111: Connection refused) {CONNECTING}"))
    assert parsed is not None
    assert (parsed.errno, parsed.server, parsed.upstream, parsed.level) == (
        111,
        "shop.example",
        "http://127.0.0.1:8000",
        "error",
    )


def test_a_line_cut_before_its_upstream_keeps_the_rest() -> None:
    parsed = LineReader().parse(line(f"upstream prematurely closed connection {HEADER}")[:200])
    assert parsed is not None
    assert (parsed.signature, parsed.server, parsed.upstream) == ("closed_before_header", "shop.example", None)


def test_an_empty_server_is_none() -> None:
    parsed = LineReader().parse(line(f"no live upstreams {CONNECTING}").replace("shop.example, request", ", request"))
    assert parsed is not None
    assert parsed.server is None


@pytest.mark.parametrize(
    ("upstream", "endpoint"),
    [
        ("http://127.0.0.1:8000", "tcp:127.0.0.1:8000"),
        ("https://[::1]:8443/x", "tcp:[::1]:8443"),
        ("http://unix:/run/x.sock:/a", "unix:/run/x.sock"),
        ("uwsgi://unix:///run/x.sock:", "unix:///run/x.sock"),
        ("http://backend/", None),
    ],
)
def test_endpoint_of_an_upstream_field(upstream: str, endpoint: str | None) -> None:
    assert endpoint_of(upstream) == endpoint


def test_lines_of_one_kind_are_one_event() -> None:
    refused = f"connect() failed (111: Connection refused) {CONNECTING}"
    folded = fold(
        [
            "the rest of a message with a line feed in it",
            line(refused, time="2026/11/21 03:50:01"),
            line(refused, time="2026/11/21 03:50:59", upstream="http://127.0.0.1:8000/b"),
            line(refused, time="2026/11/21 03:51:00"),
            line(refused, upstream="http://127.0.0.1:8001/a"),
            line("upstream did something new"),
            line('open() "/x" failed (2: No such file or directory)', upstream=None),
        ]
    )
    events = [one.event() for one in folded.folds.values()]
    assert [(event["endpoint"], event["count"]) for event in events] == [
        ("tcp:127.0.0.1:8000", 3),
        ("tcp:127.0.0.1:8001", 1),
    ]
    assert events[0]["per_minute"] == {"2026/11/21 03:50": 2, "2026/11/21 03:51": 1}
    assert (events[0]["first"], events[0]["last"]) == ("2026/11/21 03:50:01", "2026/11/21 03:51:00")
    assert "k=v" not in events[0]["sample"]
    assert (folded.lines, folded.unclassified, folded.since) == (7, 1, "2026/11/21 03:50:01")


def test_notes_of_nginx_about_buffering_are_no_unknown_failures() -> None:
    assert (
        fold(
            [line("an upstream response is buffered to a temporary file /x while reading upstream", level="warn")]
        ).unclassified
        == 0
    )


@pytest.mark.parametrize(
    ("limit", "lines"),
    [
        (100, ["one", "two", "three"]),
        (14, ["one", "two", "three"]),
        (13, ["two", "three"]),
        (9, ["three"]),
        (6, ["three"]),
        (3, []),
    ],
)
def test_the_tail_holds_whole_lines_only(limit: int, lines: list[str]) -> None:
    data = b"one\ntwo\nthree\n"
    assert list(tail(io.BytesIO(data), size=len(data), limit=limit)) == lines


def setting(destination: str) -> ErrorLogSetting:
    return ErrorLogSetting(destination=destination, level="error", file="/etc/nginx/nginx.conf", line=3)


def only(destination: str, notes: Notes) -> ErrorLog:
    (log,) = read_error_logs([setting(destination), setting(destination)], limit=1 << 20, notes=notes)
    return log


@pytest.mark.parametrize(
    ("destination", "why"),
    [
        ("syslog:server=192.0.2.1", "goes to syslog"),
        ("stderr", "goes to the standard error of nginx: the journal or the container's log has it"),
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


def test_a_log_file_is_read_once(tmp_path: Path) -> None:
    path = tmp_path / "error.log"
    path.write_text(line(f"no live upstreams {CONNECTING}", upstream="http://two/a") + "\n")
    notes = Notes()
    log = only(str(path), notes)
    assert (log["available"], log["lines"], log["size"]) == (True, 1, path.stat().st_size)
    assert [(event["signature"], event["upstream"], event["endpoint"]) for event in log["events"]] == [
        ("no_live_upstreams", "http://two", None)
    ]
    assert notes.entries == []
