# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""nginx's error logs: the newest part of each, classified by errno number and phase, and folded.

The grammar is ngx_log.c's and ngx_http_log_error()'s. Fields are taken one by one: each may be absent, and a line is
cut at 2048 bytes.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import (
    EndpointKey,
    ErrorLog,
    ErrorLogEvent,
    ErrorLogSetting,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._redact import redact_log_line
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._shared import Notes, reason

_MINUTES_KEPT = 240  # newest minutes with lines, per event
_EVENTS_KEPT = 1000  # of one log: kinds of lines times upstreams; more is no diagnosis
_HEADS_CACHED = 10_000

_FAILURES = frozenset({"error", "crit", "alert", "emerg"})

_LINE = re.compile(
    r"(?P<time>\d{4}/\d\d/\d\d \d\d:\d\d:\d\d) \[(?P<level>\w+)\] \d+#\d+: (?:\*\d+ )?(?P<message>.*)", re.DOTALL
)
# The message proper ends where the fields of the request begin.
_FIELDS = re.compile(r", (?:client|server|request|upstream): ")
_UPSTREAM = re.compile(r', upstream: "([^"]*)')
_SERVER = re.compile(r", server: ([^,]*)")
_ERRNO = re.compile(r"\((\d+): ")
_PEER = re.compile(r"(?P<scheme>\w+)://(?:unix:(?P<path>[^:]+)|(?P<host>\[[^\]]+\]|[^/:?]+)(?::(?P<port>\d+))?)")

_CONNECT = r"^connect\(\)(?: to (?:unix:.+?|\S+))? failed \({errno}: .* while connecting to upstream"
_TIMED_OUT = r"^upstream timed out \(110: .*?\) while {action}"
_TLS = r"^SSL_do_handshake\(\) failed \(SSL: .*(?:{words}).* while SSL handshaking to upstream"
_IN_BODY = r"(?:reading upstream|sending to client)"

#: Signature and pattern, first match wins.
_GRAMMAR = tuple(
    (signature, re.compile(pattern, re.DOTALL))
    for signature, pattern in (
        ("connect_refused", _CONNECT.format(errno=111)),
        ("connect_enoent", _CONNECT.format(errno=2)),
        ("connect_eacces", _CONNECT.format(errno=13)),
        ("connect_eperm", _CONNECT.format(errno=1)),
        ("connect_eagain_unix", _CONNECT.format(errno=11)),
        ("connect_bad_path", _CONNECT.format(errno="(?:20|40|91)")),
        ("connect_eaddrnotavail", _CONNECT.format(errno=99)),
        ("connect_unreach", _CONNECT.format(errno="(?:22|100|101|112|113)")),
        ("connect_kernel_timeout", _CONNECT.format(errno=110)),
        ("connect_other", _CONNECT.format(errno=r"\d+")),
        ("timeout_connect", _TIMED_OUT.format(action="connecting to upstream")),
        ("timeout_tls", _TIMED_OUT.format(action="SSL handshaking to upstream")),
        ("timeout_send", _TIMED_OUT.format(action="sending request to upstream")),
        ("timeout_header", _TIMED_OUT.format(action="reading response header from upstream")),
        ("timeout_body", _TIMED_OUT.format(action=rf"(?:{_IN_BODY}|proxying upgraded connection)")),
        (
            "closed_before_header",
            r"^upstream prematurely closed connection while (?:reading response header from|sending request to) "
            r"upstream",
        ),
        ("closed_in_body", rf"^upstream prematurely closed connection while {_IN_BODY}"),
        ("reset_before_header", r"^recv\(\) failed \(104: .* while reading response header from upstream"),
        (
            "reset_in_body",
            rf"^(?:recv|readv)\(\) failed \(104: .* while (?:{_IN_BODY}|proxying upgraded connection"
            r"|proxying and reading from upstream)",
        ),
        (
            "reset_on_send",
            r"^(?:send|writev|sendfile)\(\) failed \((?:32|104): .* while "
            r"(?:sending request to|reading response header from) upstream",
        ),
        ("too_big_header", r"^upstream sent too big header while reading response header from upstream"),
        ("not_http", r"^upstream sent no valid HTTP/1\.0 header while reading response header from upstream"),
        (
            "invalid_header",
            r"^upstream sent (?:invalid header|invalid status|duplicate header line|invalid \"Content-Length\""
            r"|\"Content-Length\" and \"Transfer-Encoding\"|unknown \"Transfer-Encoding\""
            r"|HTTP/1\.0 response with early hints)",
        ),
        (
            "not_fastcgi",
            r"^upstream sent (?:unsupported FastCGI protocol version|invalid FastCGI record type"
            r"|unexpected FastCGI (?:record|request id))",
        ),
        ("fastcgi_closed", r"^upstream prematurely closed FastCGI (?:stdout|request)"),
        ("fastcgi_stderr", r"^FastCGI sent in stderr: "),
        (
            "h2_upstream",
            r"^upstream (?:rejected request with error|sent goaway with error|prematurely closed stream|violated"
            r"|sent (?:unexpected http2 frame|frame for|rst stream|invalid :status|no :status"
            r"|too large http2|truncated http2))",
        ),
        ("invalid_chunked", r"^upstream sent (?:invalid chunked response|invalid trailer|too big trailers)"),
        (
            "tls_plain_backend",
            _TLS.format(words="wrong version number|packet length too long|unknown protocol|http request"),
        ),
        (
            "tls_alert",
            _TLS.format(
                words="alert|unrecognized name|handshake failure|no protocols available|unsupported protocol"
                "|internal error"
            ),
        ),
        ("tls_peer_closed", r"^peer closed connection in SSL handshake.* while SSL handshaking to upstream"),
        ("tls_verify", r"^upstream SSL certificate (?:verify error: \(|does not match \")"),
        ("no_live_upstreams", r"^no live upstreams while connecting to upstream"),
        ("peer_disabled", r"^upstream server temporarily disabled"),
        ("resolver_io", r"^(?:send|recv)\(\) failed \(\d+: .*\) while resolving, resolver: "),
        ("no_resolver", r"^no resolver defined to resolve "),
        ("resolve_failed", r"^\S+ could not be resolved \(\d+: "),
        (
            "bad_var_url",
            r"^(?:no port in upstream|invalid URL prefix in"
            r"|(?:invalid port|invalid host|no host|no path in the unix domain socket"
            r"|too long path in the unix domain socket) in upstream) \"",
        ),
        ("bind_failed", r"^bind\([^)]+\) failed \(\d+: "),
        ("socket_failed", r"^(?:socket|accept4?)\(\) failed \(\d+: "),
        ("worker_connections", r"^\d+ worker_connections are not enough"),
        ("auth_request", r"^auth request unexpected status: \d+"),
        ("client_abort", r"client prematurely closed connection"),
        ("temp_file", r"^(?:open|mkdir|pwrite|pread)\(\) \"[^\"]*/\d{10}\" failed \(\d+: "),
    )
)


@dataclass(frozen=True)
class Line:
    time: str
    level: str
    signature: str | None  # None: no failure of an upstream, or one that the grammar does not know
    about_upstream: bool  # and a failure by its level
    errno: int | None
    upstream: str | None
    server: str | None


def classify(head: str) -> str | None:
    """The signature of a message, `head` being the line after its connection number."""
    return next((signature for signature, pattern in _GRAMMAR if pattern.search(head)), None)


def endpoint_of(upstream: str) -> EndpointKey | None:
    """The endpoint in an `upstream:` field; None for the name of an upstream block, which has no port."""
    peer = _PEER.match(upstream)
    if peer and peer["path"]:
        return f"unix:{peer['path']}"
    return f"tcp:{peer['host']}:{peer['port']}" if peer and peer["port"] else None


def _without_uri(upstream: str) -> str:
    peer = _PEER.match(upstream)
    return peer[0] if peer else upstream.partition("?")[0]


class LineReader:
    """Parses lines; remembers heads, because a failing upstream writes the same one thousands of times."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[str | None, int | None]] = {}

    def parse(self, text: str) -> Line | None:
        """None for what is no line of its own: the rest of a message that holds a line feed."""
        match = _LINE.match(text)
        if not match:
            return None
        message = match["message"]
        fields = _FIELDS.search(message)
        # `while resolving, resolver: A` and the like have no fields of a request: then the message is all there is.
        head = message[: fields.start()] if fields else message
        signature, errno = self._classified(head)
        upstream = _UPSTREAM.search(message) if fields else None
        server = _SERVER.search(message) if fields else None
        return Line(
            time=match["time"],
            level=match["level"],
            signature=signature,
            about_upstream=match["level"] in _FAILURES and ("upstream" in head or upstream is not None),
            errno=errno,
            upstream=_without_uri(upstream[1]) if upstream else None,
            server=server[1] or None if server else None,
        )

    def _classified(self, head: str) -> tuple[str | None, int | None]:
        if head not in self._known:
            if len(self._known) >= _HEADS_CACHED:
                self._known.clear()
            errno = _ERRNO.search(head)
            self._known[head] = (classify(head), int(errno[1]) if errno else None)
        return self._known[head]


@dataclass
class _Fold:
    """One event in the making."""

    line: Line
    sample: str
    count: int = 0
    last: str = ""
    per_minute: dict[str, int] = field(default_factory=dict)

    def add(self, time: str) -> None:
        self.count += 1
        self.last = time
        minute = time[:16]
        self.per_minute[minute] = self.per_minute.get(minute, 0) + 1
        if len(self.per_minute) > _MINUTES_KEPT:
            del self.per_minute[next(iter(self.per_minute))]

    def event(self) -> ErrorLogEvent:
        line = self.line
        return ErrorLogEvent(
            signature=line.signature or "",
            level=line.level,
            errno=line.errno,
            upstream=redact_log_line(line.upstream) if line.upstream else None,
            endpoint=endpoint_of(line.upstream) if line.upstream else None,
            server=line.server,
            count=self.count,
            first=line.time,
            last=self.last,
            sample=redact_log_line(self.sample),
            details={},
            subrequests=0,
            per_minute=self.per_minute,
        )


@dataclass
class Folded:
    """What a run of lines amounts to; memory depends on kinds of events, not on lines."""

    since: str | None = None
    lines: int = 0
    unclassified: int = 0
    not_kept: int = 0
    folds: dict[tuple[str | int | None, ...], _Fold] = field(default_factory=dict)

    def add(self, line: Line, text: str) -> None:
        self.since = self.since or line.time
        if line.signature is None:
            self.unclassified += line.about_upstream
            return
        key = (line.signature, line.level, line.errno, line.upstream, line.server)
        fold = self.folds.get(key)
        if fold is None:
            if len(self.folds) >= _EVENTS_KEPT:
                self.not_kept += 1
                return
            fold = self.folds[key] = _Fold(line=line, sample=text)
        fold.add(line.time)


def fold(texts: Iterable[str]) -> Folded:
    folded, reader = Folded(), LineReader()
    for text in texts:
        folded.lines += 1
        line = reader.parse(text)
        if line:
            folded.add(line, text)
    return folded


def tail(file: BinaryIO, *, size: int, limit: int) -> Iterator[str]:
    """The whole lines among the last `limit` of `size` bytes. What is written meanwhile is left for the next time."""
    start = max(0, size - limit)
    if start:
        file.seek(start - 1)
        start += len(file.readline()) - 1
    while start < size:
        raw = file.readline()
        if not raw:
            return
        start += len(raw)
        yield raw.rstrip(b"\n").decode("utf-8", "replace")


def _closed(setting: ErrorLogSetting, why: str) -> ErrorLog:
    return ErrorLog(
        path=setting["destination"],
        level=setting["level"],
        available=False,
        why=why,
        size=0,
        bytes_read=0,
        files_read=[],
        since=None,
        lines=0,
        unclassified=0,
        events=[],
    )


def _no_file(destination: str) -> str:
    """Why a destination leaves nothing to read; "" for a file."""
    if destination.startswith("syslog:"):
        return "goes to syslog"
    if destination.startswith("memory:"):
        return "kept in nginx's memory only"
    if destination in ("stderr", "/dev/stderr", "/dev/stdout", "/proc/self/fd/2"):
        return "goes to the standard error of nginx: the journal or the container's log has it"
    return "thrown away by the configuration" if destination in ("/dev/null", "off") else ""


def _read(setting: ErrorLogSetting, *, limit: int, notes: Notes) -> ErrorLog:
    path = Path(setting["destination"])
    if path.exists() and not path.is_file():
        return _closed(setting, "not a regular file")
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        folded = fold(tail(file, size=size, limit=limit))
    if folded.not_kept:
        notes.miss(f"{folded.not_kept} lines of error log {path}", f"more than {_EVENTS_KEPT} kinds of failures")
    return ErrorLog(
        path=setting["destination"],
        level=setting["level"],
        available=True,
        why="",
        size=size,
        bytes_read=min(size, limit),
        files_read=[setting["destination"]],
        since=folded.since,
        lines=folded.lines,
        unclassified=folded.unclassified,
        events=[entry.event() for entry in folded.folds.values()],
    )


def read_error_logs(settings: Iterable[ErrorLogSetting], *, limit: int, notes: Notes) -> list[ErrorLog]:
    """The newest `limit` bytes of each destination, once each."""
    logs: dict[str, ErrorLog] = {}
    for setting in settings:
        destination = setting["destination"]
        if destination in logs:
            continue
        why = _no_file(destination)
        try:
            logs[destination] = _closed(setting, why) if why else _read(setting, limit=limit, notes=notes)
        except OSError as error:
            logs[destination] = _closed(setting, reason(error))
        if not logs[destination]["available"]:
            notes.miss(f"error log {destination}", logs[destination]["why"])
    return list(logs.values())
