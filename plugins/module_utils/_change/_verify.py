# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Asking a route through nginx itself, before and after a change."""

from __future__ import annotations

import os
import re
import socket
import ssl
from dataclasses import dataclass
from urllib.parse import quote

from ansible_collections.sre.bad_gateway.plugins.module_utils._nginx._address import (
    Address,
    AddressError,
    parse_address,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._nginx._routes import Pass

_TIMEOUT = 10.0  # seconds for one answer
_STATUS = re.compile(rb"HTTP/1\.[01] ([0-9]{3})")
_FAILURES = (500, 502, 504)
# Their listeners expect something other than plain HTTP/1.1.
_NOT_HTTP = {"quic", "proxy_protocol", "spdy"}
_EVERYWHERE = {"*": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not bound


@dataclass(frozen=True)
class Answer:
    status: int | None  # None: no answer, or nothing could be asked
    detail: str  # why there is none
    asked: bool = True

    @property
    def good(self) -> bool:
        return self.status is not None and self.status not in _FAILURES


@dataclass(frozen=True)
class Question:
    """One request that nginx sends down the route."""

    address: Address
    tls: bool
    host: str
    path: str


def question_for(one: Pass) -> Question | None:
    """None when no request is sure to take the route: a named or regex location, a pattern as the only server name."""
    path = one.location.replace("= ", "", 1).replace("^~ ", "", 1)
    plain = [name for name in one.server_names if name and name[0] not in "*.~" and not name.endswith(".*")]
    if not path.startswith("/") or (one.server_names and not plain):
        return None
    default = ("80" if os.geteuid() == 0 else "8000",)  # nginx's own, where no `listen` is written
    for listen in one.listen or default:
        words = listen.split()
        address = (
            None if _NOT_HTTP & set(words[1:]) or ("http2" in words and "ssl" not in words) else _address(words[0])
        )
        if address is not None:
            return Question(address=address, tls="ssl" in words, host=plain[0] if plain else "", path=path)
    return None


def ask(question: Question | None) -> Answer:
    """Send one GET request to nginx; every way to fail is an answer too."""
    if question is None:
        return Answer(status=None, detail="no request is sure to take this route", asked=False)
    request = (
        f"GET {quote(question.path, safe='/%:@!$&()*+,;=~')} HTTP/1.1\r\nHost: {question.host}\r\n"
        "User-Agent: sre.bad_gateway\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    )
    try:
        with _connected(question) as connection:
            connection.sendall(request.encode("utf-8", "surrogateescape"))
            start = connection.recv(64)
    except (OSError, UnicodeError) as error:
        return Answer(status=None, detail=str(error) or type(error).__name__)
    match = _STATUS.match(start)
    return Answer(status=int(match[1]), detail="") if match else Answer(status=None, detail="no HTTP answer")


def _connected(question: Question) -> socket.socket:
    address = question.address
    if address.path is not None:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(_TIMEOUT)
        connection.connect(address.path)
    else:
        connection = socket.create_connection((address.host or "", address.port or 0), timeout=_TIMEOUT)
    if not question.tls:
        return connection
    # Whether nginx's own certificate is valid is not the question here.
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context.wrap_socket(connection, server_hostname=question.host or None)


def _address(listen: str) -> Address | None:
    text = f"127.0.0.1:{listen}" if listen.isdigit() else listen
    host, _colon, port = text.rpartition(":")
    try:
        if host == "*":
            return parse_address(f"127.0.0.1:{port}")
        found = parse_address(text, default_port=80)
    except AddressError:
        return None
    here = _EVERYWHERE.get(found.host or "", found.host)
    return Address(transport=found.transport, host=here, port=found.port, path=found.path)
