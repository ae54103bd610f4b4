# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What probes send and how they read answers; the answers were recorded from real servers."""

from __future__ import annotations

import pytest

from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._protocols import read_answer, request

GUNICORN_400 = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"
NGINX_PLAIN = b"HTTP/1.1 400 Bad Request\r\n\r\n<center>The plain HTTP request was sent to HTTPS port</center>"
FPM_404 = (
    b"\x01\x07\x00\x01\x00\x16\x02\x00Primary script unknown\0\0"
    b"\x01\x06\x00\x01\x00\x1a\x06\x00Status: 404 Not Found\r\n\r\n"
)


def test_http_names_the_host_and_closes() -> None:
    sent = request("http", "shop.example")
    assert sent.startswith(b"GET / HTTP/1.1\r\nHost: shop.example\r\n")
    assert b"\r\nConnection: close\r\n" in sent
    assert request("https", "shop.example") == sent


def test_uwsgi_counts_its_own_length() -> None:
    sent = request("uwsgi", "shop.example")
    assert (sent[0], int.from_bytes(sent[1:3], "little"), sent[3]) == (0, len(sent) - 4, 0)
    assert b"\x09\x00HTTP_HOST\x0c\x00shop.example" in sent


def test_fastcgi_is_a_whole_request() -> None:
    sent = request("fastcgi", "shop.example")
    kinds = []
    while sent:
        kinds.append(sent[1])
        sent = sent[8 + int.from_bytes(sent[4:6], "big") :]
    assert kinds == [1, 4, 4, 5]


def test_scgi_is_a_netstring_that_begins_with_the_length_of_the_body() -> None:
    size, _colon, rest = request("scgi", "h").partition(b":")
    assert len(rest) == int(size) + 1
    assert rest.startswith(b"CONTENT_LENGTH\x000\x00SCGI\x001\x00")
    assert rest.endswith(b"\0,")


@pytest.mark.parametrize(
    ("protocol", "data", "outcome", "status"),
    [
        ("http", b"HTTP/1.1 200 OK\r\n", "answered", 200),
        ("http", b"HTTP/1.1 502 Bad Gateway\r\n", "answered", 502),
        ("http", GUNICORN_400, "answered", 400),
        ("http", NGINX_PLAIN, "mismatch", 400),
        ("http", b"\x15\x03\x01\x00\x02\x02\x46", "mismatch", None),
        ("http", b"-ERR wrong number of arguments\r\n", "mismatch", None),
        ("http", b"SSH-2.0-OpenSSH_9.2\r\n", "mismatch", None),
        ("uwsgi", b"HTTP/1.1 200 OK\r\n", "answered", 200),
        ("uwsgi", b"Status: 404 Not Found\r\n", "answered", 404),
        ("scgi", b"Status: 200 OK\r\n", "answered", 200),
        ("fastcgi", FPM_404, "answered", 404),
        ("fastcgi", GUNICORN_400, "mismatch", None),
        ("grpc", b"\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x80", "answered", None),
        ("grpc", GUNICORN_400, "mismatch", None),
    ],
)
def test_answers(protocol: str, data: bytes, outcome: str, status: int | None) -> None:
    answer = read_answer(protocol, data)
    assert (answer.outcome, answer.status) == (outcome, status)
