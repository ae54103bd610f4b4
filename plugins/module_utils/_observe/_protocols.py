# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a probe says and how an answer is read, by protocol: bytes in, bytes out, no sockets."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass

_STATUS = re.compile(rb"^HTTP/\d(?:\.\d)? (?P<code>\d{3})[^\r\n]*")
_CGI_STATUS = re.compile(rb"^Status: ?(?P<code>\d{3})[^\r\n]*", re.MULTILINE | re.IGNORECASE)
_FCGI_STATUS = re.compile(rb"Status: ?(?P<code>\d{3})[^\r\n]*", re.IGNORECASE)  # after a record's header
_PLAIN_TO_TLS = (b"plain HTTP request was sent to HTTPS port", b"speaking plain HTTP to an SSL-enabled server port")
_H2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\x04\0\0\0\0\0"  # and an empty SETTINGS frame
_H2_SETTINGS = 4
_FCGI_TYPES = {3: "END_REQUEST", 6: "STDOUT", 7: "STDERR"}
AGENT = "sre.bad_gateway"

#: Protocols inside TLS, and what is spoken there.
TLS = {"https": "http", "grpcs": "grpc"}


@dataclass(frozen=True)
class Answer:
    """What the first bytes amount to."""

    outcome: str  # answered | mismatch
    detail: str
    status: int | None = None


def _http_request(host: str) -> bytes:
    return f"GET / HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {AGENT}\r\nAccept: */*\r\nConnection: close\r\n\r\n".encode()


def _cgi(host: str) -> dict[str, str]:
    return {
        "REQUEST_METHOD": "GET",
        "REQUEST_URI": "/",
        "PATH_INFO": "/",
        "SCRIPT_NAME": "",
        "QUERY_STRING": "",
        "CONTENT_LENGTH": "",
        "CONTENT_TYPE": "",
        "SERVER_NAME": host,
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_HOST": host,
        "HTTP_USER_AGENT": AGENT,
    }


def _uwsgi_request(host: str) -> bytes:
    pairs = b"".join(
        struct.pack("<H", len(part)) + part for item in _cgi(host).items() for part in (word.encode() for word in item)
    )
    return struct.pack("<BHB", 0, len(pairs), 0) + pairs


def _fcgi_record(kind: int, content: bytes) -> bytes:
    return struct.pack(">BBHHBB", 1, kind, 1, len(content), 0, 0) + content


def _fastcgi_request(host: str) -> bytes:
    pairs = b"".join(
        struct.pack(">II", len(name) | 0x80000000, len(value) | 0x80000000) + name + value
        for name, value in ((name.encode(), value.encode()) for name, value in _cgi(host).items())
    )
    begin = _fcgi_record(1, struct.pack(">HB5x", 1, 0))  # responder, close afterwards
    return begin + _fcgi_record(4, pairs) + _fcgi_record(4, b"") + _fcgi_record(5, b"")


def _scgi_request(host: str) -> bytes:
    pairs = {"CONTENT_LENGTH": "0", "SCGI": "1"}  # in this order, says the protocol
    pairs.update((name, value) for name, value in _cgi(host).items() if name != "CONTENT_LENGTH")
    headers = "".join(f"{name}\0{value}\0" for name, value in pairs.items()).encode()
    return str(len(headers)).encode() + b":" + headers + b","


def request(protocol: str, host: str) -> bytes:
    """One small request in the route's protocol."""
    name = host.encode("ascii", "ignore").decode() or "localhost"
    speakers: dict[str, Callable[[str], bytes]] = {
        "http": _http_request,
        "uwsgi": _uwsgi_request,
        "fastcgi": _fastcgi_request,
        "scgi": _scgi_request,
        "grpc": lambda _host: _H2_PREFACE,
    }
    return speakers[TLS.get(protocol, protocol)](name)


def _shown(data: bytes) -> str:
    """The first bytes of an answer; an app's own words are not copied further than its first line."""
    return repr(data.split(b"\n", 1)[0][:40])


def _read_http(data: bytes) -> Answer | None:
    line = _STATUS.match(data)
    if line:
        status, detail = int(line["code"]), line[0].decode("latin-1")
        if status == 400 and any(words in data for words in _PLAIN_TO_TLS):
            return Answer(outcome="mismatch", detail=f"it expects TLS: {detail}", status=status)
        return Answer(outcome="answered", detail=detail, status=status)
    if data[:2] == b"\x15\x03":
        return Answer(outcome="mismatch", detail="it expects TLS: answered with a TLS alert")
    return None


def _read_cgi(data: bytes) -> Answer | None:
    status = _CGI_STATUS.search(data)
    if status:
        return Answer(outcome="answered", detail=status[0].decode("latin-1"), status=int(status["code"]))
    return _read_http(data)


def _read_fastcgi(data: bytes) -> Answer | None:
    if data[0] == 1 and len(data) >= 8 and data[1] in _FCGI_TYPES:
        status = _FCGI_STATUS.search(data)
        detail = status[0].decode("latin-1") if status else f"FastCGI {_FCGI_TYPES[data[1]]}"
        return Answer(outcome="answered", detail=detail, status=int(status["code"]) if status else None)
    return None


def _read_grpc(data: bytes) -> Answer | None:
    if len(data) >= 9 and data[3] == _H2_SETTINGS:
        return Answer(outcome="answered", detail="HTTP/2 SETTINGS")
    return None


def read_answer(protocol: str, data: bytes) -> Answer:
    """Judge the first bytes that came back; `data` is not empty."""
    inner = TLS.get(protocol, protocol)
    readers = {"http": _read_http, "uwsgi": _read_cgi, "scgi": _read_cgi, "fastcgi": _read_fastcgi, "grpc": _read_grpc}
    answer = readers[inner](data)
    if answer:
        return answer
    return Answer(outcome="mismatch", detail=f"not {inner}: answered {_shown(data)}")
