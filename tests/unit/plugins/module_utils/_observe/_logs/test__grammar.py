# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Messages of nginx's error log, as nginx 1.22 and 1.31 print them, and as musl words errors."""

from __future__ import annotations

import pytest

from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._logs._grammar import classify

HEADER = "while reading response header from upstream"
CONNECTING = "while connecting to upstream"
TLS = "while SSL handshaking to upstream"


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
    kind = classify(head)
    assert (kind.signature if kind else None) == signature


@pytest.mark.parametrize(
    ("head", "errno", "endpoint", "detail"),
    [
        (f"connect() failed (111: Connection refused) {CONNECTING}", 111, None, None),
        (
            f"connect() to unix:/run/a.sock: failed (2: No such file or directory) {CONNECTING}",
            2,
            "unix:/run/a.sock:",
            None,
        ),
        (f"connect() to [::1]:80 failed (99: Address not available) {CONNECTING}", 99, "tcp:[::1]:80", None),
        (
            f"upstream SSL certificate verify error: (18:self-signed certificate) {TLS}",
            None,
            None,
            "18:self-signed certificate",
        ),
        (f'upstream SSL certificate does not match "app" {TLS}', None, None, 'does not match "app"'),
        (
            "SSL_do_handshake() failed (SSL: error:14094410:SSL routines:ssl3_read_bytes:sslv3 alert handshake failure:"
            f"SSL alert number 40) {TLS}",
            None,
            None,
            "sslv3 alert handshake failure",
        ),
        (
            f"SSL_do_handshake() failed (SSL: error:0A00010B:SSL routines::wrong version number) {TLS}",
            None,
            None,
            "wrong version number",
        ),
        (
            f'upstream sent duplicate header line: "Content-Length: 1", previous value: "Content-Length: 2" {HEADER}',
            None,
            None,
            'duplicate header line: "Content-Length',
        ),
        (
            f"upstream sent unsupported FastCGI protocol version: 72 {HEADER}",
            None,
            None,
            "unsupported FastCGI protocol version: 72",
        ),
        (f'FastCGI sent in stderr: "Primary script unknown" {HEADER}', None, None, "Primary script unknown"),
        (
            "send() failed (111: Connection refused) while resolving, resolver: 127.0.0.1:53",
            111,
            None,
            "127.0.0.1:53",
        ),
        ("no resolver defined to resolve app.example", None, None, "app.example"),
        (
            "app.example could not be resolved (3: Host not found)",
            3,
            None,
            "app.example: 3: Host not found",
        ),
        ('invalid port in upstream "app:x/"', None, None, "invalid port in upstream"),
        ("bind(192.0.2.1) failed (99: Cannot assign requested address)", 99, None, "192.0.2.1"),
        ("768 worker_connections are not enough, reusing connections", None, None, "reusing connections"),
        ("auth request unexpected status: 502 while sending to client", None, None, "502"),
        (
            'pwrite() "/var/lib/nginx/proxy/1/00/0000000001" failed (28: No space left on device)',
            28,
            None,
            "/var/lib/nginx/proxy",
        ),
        ('mkdir() "/var/lib/nginx/body/3" failed (13: Permission denied)', 13, None, "/var/lib/nginx/body"),
    ],
)
def test_what_a_message_tells_beside_its_name(
    head: str, errno: int | None, endpoint: str | None, detail: str | None
) -> None:
    kind = classify(head)
    assert kind is not None
    assert (kind.errno, kind.endpoint, kind.detail) == (errno, endpoint, detail)
