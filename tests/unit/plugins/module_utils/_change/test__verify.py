# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest

from ansible_collections.sre.bad_gateway.plugins.module_utils._change._verify import Question, ask, question_for
from ansible_collections.sre.bad_gateway.plugins.module_utils._nginx._address import parse_address
from ansible_collections.sre.bad_gateway.plugins.module_utils._nginx._config import read_config
from ansible_collections.sre.bad_gateway.plugins.module_utils._nginx._routes import passes

QUESTIONS = {
    "port": ("listen 81; server_name a.example;", "/", ("tcp:127.0.0.1:81", False, "a.example", "/")),
    "any address": ("listen *:81;", "= /x", ("tcp:127.0.0.1:81", False, "", "/x")),
    "any IPv4 address": ("listen 0.0.0.0:81;", "^~ /x", ("tcp:127.0.0.1:81", False, "", "/x")),
    "any IPv6 address": ("listen [::]:81;", "/", ("tcp:[::1]:81", False, "", "/")),
    "address alone": ("listen 10.0.0.1;", "/", ("tcp:10.0.0.1:80", False, "", "/")),
    "TLS": ("listen 443 ssl http2;", "/", ("tcp:127.0.0.1:443", True, "", "/")),
    "socket": ("listen unix:/run/n.sock;", "/", ("unix:/run/n.sock", False, "", "/")),
    "HTTP": ("listen 1 proxy_protocol; listen 2 quic; listen 3;", "/", ("tcp:127.0.0.1:3", False, "", "/")),
    "a plain name": ("listen 81; server_name *.a .b ~c d.* e;", "/", ("tcp:127.0.0.1:81", False, "e", "/")),
    "no plain name": ("listen 81; server_name *.a;", "/", None),
    "regex": ("listen 81;", "~ /x", None),
    "named": ("listen 81;", "@x", None),
}  # fmt: skip


@pytest.mark.parametrize(("server", "location", "expected"), QUESTIONS.values(), ids=QUESTIONS.keys())
def test_question(tmp_path: Path, server: str, location: str, expected: tuple[str, bool, str, str] | None) -> None:
    text = f"http {{ server {{ {server} location {location} {{ proxy_pass http://a; }} }} }}"
    (tmp_path / "nginx.conf").write_text(text)
    (one,) = passes(read_config("nginx.conf", prefix=str(tmp_path)))
    question = question_for(one)
    found = question and (question.address.key, question.tls, question.host, question.path)
    assert found == expected


@pytest.mark.parametrize(("uid", "port"), [(0, 80), (1000, 8000)])
def test_without_listen_nginx_has_its_own_port(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uid: int, port: int
) -> None:
    (tmp_path / "nginx.conf").write_text("http { server { location / { proxy_pass http://a; } } }")
    (one,) = passes(read_config("nginx.conf", prefix=str(tmp_path)))
    monkeypatch.setattr("os.geteuid", lambda: uid)
    question = question_for(one)
    assert question is not None
    assert question.address.key == f"tcp:127.0.0.1:{port}"


ANSWERS = {
    b"HTTP/1.1 200 OK\r\n\r\n": (200, "", True),
    b"HTTP/1.1 404 Not Found\r\n\r\n": (404, "", True),
    b"HTTP/1.1 502 Bad Gateway\r\n\r\n": (502, "", False),
    b"": (None, "no HTTP answer", False),
    b"SSH-2.0\r\n": (None, "no HTTP answer", False),
}


@pytest.mark.parametrize(("sent", "expected"), ANSWERS.items())
def test_answer(sent: bytes, expected: tuple[int | None, str, bool]) -> None:
    requests: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _peer = server.accept()
            with connection:
                requests.append(connection.recv(1000))
                connection.sendall(sent)

        thread = threading.Thread(target=serve)
        thread.start()
        address = parse_address(f"127.0.0.1:{server.getsockname()[1]}")
        answer = ask(Question(address=address, tls=False, host="a.example", path="/a b\r\nx"))
        thread.join()
    assert (answer.status, answer.detail, answer.good) == expected
    assert requests[0].startswith(b"GET /a%20b%0D%0Ax HTTP/1.1\r\nHost: a.example\r\n")


def test_a_refusal_is_an_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = parse_address(f"127.0.0.1:{server.getsockname()[1]}")
    answer = ask(Question(address=address, tls=False, host="", path="/"))
    assert (answer.status, answer.good) == (None, False)
    assert "refused" in answer.detail
