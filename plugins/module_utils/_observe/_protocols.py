# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a probe says and how an answer is read, by protocol: bytes in, bytes out, no sockets."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from typing import NamedTuple

_STATUS = rb"^HTTP/\d(?:\.\d)? (?P<code>\d{3})[^\r\n]*"
_CGI_STATUS = rb"(?mi)^Status: ?(?P<code>\d{3})[^\r\n]*"
_FCGI_STATUS = rb"(?i)Status: ?(?P<code>\d{3})[^\r\n]*"  # after a record's header
_PLAIN_TO_TLS = (
    b"plain HTTP request was sent to HTTPS port",  # nginx
    b"speaking plain HTTP to an SSL-enabled server port",  # Apache
    b"Client sent an HTTP request to an HTTPS server",  # Go
    b"This combination of host and port requires TLS",  # Tomcat
)
_H2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\x04\0\0\0\0\0"  # and an empty SETTINGS frame
_H2_FRAMES = (4, 7)  # SETTINGS, GOAWAY: what a server says first
_FCGI_TYPES = {3: "END_REQUEST", 6: "STDOUT", 7: "STDERR", 10: "GET_VALUES_RESULT"}
_MYSQL_GREETING = 10  # protocol version, after a packet header of four bytes
AGENT = "sre.bad_gateway"

#: Protocols inside TLS, and what is spoken there.
TLS = {"https": "http", "grpcs": "grpc"}

#: How servers of other protocols than ours begin.
_BANNERS = (
    (rb"HTTP/\d", "http"),
    (rb"(?i)Status: ?\d{3}", "cgi"),
    (rb"[\x15\x16]\x03[\x00-\x04]", "tls"),
    (rb"SSH-\d", "ssh"),
    (rb"-(?:ERR|DENIED|NOAUTH|LOADING|WRONGTYPE)\b|\+PONG", "redis"),
    (rb"220[ -]", "smtp or ftp"),
    (rb"\* OK\b", "imap"),
    (rb"\+OK\b", "pop3"),
    (rb"ERROR\r\n", "memcached"),
    (rb"AMQP", "amqp"),
)


class Answer(NamedTuple):
    """What the first bytes amount to."""

    outcome: str  # answered | mismatch
    detail: str
    status: int | None = None
    speaks: str | None = None  # what the other side was shown to speak instead


def _http_request(host: str) -> bytes:
    name = f"Host: {host}\r\n" if host else ""  # nginx leaves out a header that is set to nothing
    return f"GET / HTTP/1.1\r\n{name}User-Agent: {AGENT}\r\nAccept: */*\r\nConnection: close\r\n\r\n".encode()


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


def _fastcgi_request(host: str, script: str) -> bytes:
    variables = {**_cgi(host), "SCRIPT_FILENAME": script} if script else _cgi(host)
    pairs = b"".join(
        struct.pack(">II", len(name) | 0x80000000, len(value) | 0x80000000) + name + value
        for name, value in ((name.encode(), value.encode()) for name, value in variables.items())
    )
    begin = _fcgi_record(1, struct.pack(">HB5x", 1, 0))  # responder, close afterwards
    return begin + _fcgi_record(4, pairs) + _fcgi_record(4, b"") + _fcgi_record(5, b"")


def _scgi_request(host: str) -> bytes:
    pairs = {"CONTENT_LENGTH": "0", "SCGI": "1"}  # in this order, says the protocol
    pairs.update((name, value) for name, value in _cgi(host).items() if name != "CONTENT_LENGTH")
    headers = "".join(f"{name}\0{value}\0" for name, value in pairs.items()).encode()
    return str(len(headers)).encode() + b":" + headers + b","


def request(protocol: str, host: str, *, script: str = "") -> bytes:
    """One small request in the route's protocol. `script` is the file that FastCGI shall run."""
    name = host.encode("ascii", "ignore").decode()
    speakers: dict[str, Callable[[], bytes]] = {
        "http": lambda: _http_request(name),
        "uwsgi": lambda: _uwsgi_request(name),
        "fastcgi": lambda: _fastcgi_request(name, script),
        "scgi": lambda: _scgi_request(name),
        "grpc": lambda: _H2_PREFACE,
    }
    return speakers[TLS.get(protocol, protocol)]()


def _client_hello() -> bytes:
    """The shortest that every TLS server answers, be it with an alert."""
    ciphers = struct.pack(">H", 2) + b"\xc0\x2f"  # ECDHE-RSA-AES128-GCM-SHA256
    versions = struct.pack(">HHB", 43, 5, 4) + b"\x03\x04\x03\x03"
    groups = struct.pack(">HHHH", 10, 4, 2, 0x001D)
    signatures = struct.pack(">HHHHH", 13, 6, 4, 0x0403, 0x0804)
    extensions = versions + groups + signatures
    body = b"\x03\x03" + b"\x5a" * 32 + b"\0" + ciphers + b"\x01\0" + struct.pack(">H", len(extensions)) + extensions
    handshake = b"\x01" + struct.pack(">I", len(body))[1:] + body
    return b"\x16\x03\x01" + struct.pack(">H", len(handshake)) + handshake


#: What shows in one small exchange that a server speaks a protocol. HTTP stands first: a server that answers HTTP's own
#: question is one, and only where that is ruled out does an answer to the uwsgi request, which looks like HTTP's, say
#: something. (Not every uWSGI has the plugin that would answer a ping.)
QUESTIONS = {
    "http": (_http_request("localhost"), ("http",)),
    "uwsgi": (_uwsgi_request("localhost"), ("http", "cgi")),
    "fastcgi": (struct.pack(">BBHHBB", 1, 9, 0, 0, 0, 0), ("fastcgi",)),  # GET_VALUES of nothing
    "tls": (_client_hello(), ("tls",)),
}


def spoken(data: bytes) -> str | None:
    """The protocol that the first bytes of a server belong to."""
    known = next((name for pattern, name in _BANNERS if re.match(pattern, data)), None)
    if known:
        return known
    if len(data) >= 8 and data[0] == 1 and data[1] in _FCGI_TYPES:
        return "fastcgi"
    if len(data) >= 9 and data[0] == 0 and data[3] in _H2_FRAMES:
        return "http2"
    if len(data) >= 5 and data[3] == 0 and data[4] == _MYSQL_GREETING:
        return "mysql"
    return None


def _shown(data: bytes) -> str:
    """The first bytes of an answer; an app's own words are not copied further than its first line."""
    return repr(data.split(b"\n", 1)[0][:40])


def _read_http(data: bytes) -> Answer | None:
    line = re.match(_STATUS, data)
    if not line:
        return None
    status, detail = int(line["code"]), line[0].decode("latin-1")
    if status == 400 and any(words in data for words in _PLAIN_TO_TLS):
        return Answer(outcome="mismatch", detail=f"it expects TLS: {detail}", status=status, speaks="tls")
    return Answer(outcome="answered", detail=detail, status=status)


def _read_cgi(data: bytes) -> Answer | None:
    status = re.search(_CGI_STATUS, data)
    if status:
        return Answer(outcome="answered", detail=status[0].decode("latin-1"), status=int(status["code"]))
    return _read_http(data)  # an app server may begin with HTTP's status line, and nginx takes it


def _read_fastcgi(data: bytes) -> Answer | None:
    if spoken(data) != "fastcgi":
        return None
    status = re.search(_FCGI_STATUS, data)
    detail = status[0].decode("latin-1") if status else f"FastCGI {_FCGI_TYPES[data[1]]}"
    return Answer(outcome="answered", detail=detail, status=int(status["code"]) if status else None)


def _read_grpc(data: bytes) -> Answer | None:
    return Answer(outcome="answered", detail="HTTP/2 SETTINGS") if spoken(data) == "http2" else None


def read_answer(protocol: str, data: bytes) -> Answer:
    """Judge the first bytes that came back; `data` is not empty."""
    inner = TLS.get(protocol, protocol)
    readers = {"http": _read_http, "uwsgi": _read_cgi, "scgi": _read_cgi, "fastcgi": _read_fastcgi, "grpc": _read_grpc}
    answer = readers[inner](data)
    if answer:
        return answer
    speaks = spoken(data)
    said = f"it speaks {speaks}" if speaks else f"not {inner}"
    return Answer(outcome="mismatch", detail=f"{said}: answered {_shown(data)}", speaks=speaks)


def is_doubtful(protocol: str, status: int | None, detail: str) -> bool:
    """Whether an HTTP server may have refused a request in another protocol: nginx would pass its answer on."""
    return protocol in ("uwsgi", "scgi") and status == 400 and detail.startswith("HTTP/")
