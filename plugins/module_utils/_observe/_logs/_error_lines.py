# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lines of nginx's error log, classified and folded.

Fields of a line are taken one by one: each may be absent, and a line is cut at 2048 bytes. Most lines of a failing
upstream share one message, so what a message is about is worked out once, and kept.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._logs._fold import (
    Tallies,
    Tally,
    newest_minutes,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._logs._peer import endpoint_of
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._redact import redact_log_line

if TYPE_CHECKING:
    from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import EndpointKey, ErrorLogEvent
    from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._logs._grammar import Kind

_HEADS = 10_000  # messages whose kind is remembered
_LONGEST = 4096  # bytes; nginx cuts its lines at 2048
_FAILURES = frozenset({b"error", b"crit", b"alert", b"emerg"})

_PREFIX = re.compile(rb"(\d{4}/\d\d/\d\d \d\d:\d\d:\d\d) \[(\w+)\] (\d+)#\d+: (?:\*\d+ )?")
_STAMP = re.compile(rb"^(\d{4}/\d\d/\d\d \d\d:\d\d:\d\d) \[\w+\] \d+#\d+: ", re.MULTILINE)
# The message proper ends where the fields of the request begin.
_FIELDS = (b", client: ", b", server: ", b", request: ", b", upstream: ")
_SERVER = b", server: "
_UPSTREAM = b', upstream: "'
_SUBREQUEST = b', subrequest: "'
# Its quotes are not escaped, so what looks like a later field may stand in the request line.
_REQUEST_END = b" HTTP/"
_PEER = re.compile(rb'\w+://(?:unix:[^:"]+|\[[^\]"]+\](?::\d+)?|[^/:?"]+(?::\d+)?)')

_JSON_TIME = r"(\d{4})\D(\d\d)\D(\d\d)\D(\d\d:\d\d:\d\d)"
_JSON_STAMP = rb'(?m)^\{[^\n]*?"timestamp": ?"([^"\n]*)"'


def error_stamp(piece: bytes) -> str | None:
    """The time of the first line in a piece of an error log."""
    match = _STAMP.search(piece)
    if match:
        return match[1].decode("ascii")
    match = re.search(_JSON_STAMP, piece)
    return _json_time(match[1].decode("ascii", "replace")) if match else None


def _json_time(text: str) -> str | None:
    match = re.match(_JSON_TIME, text)
    return f"{match[1]}/{match[2]}/{match[3]} {match[4]}" if match else None


def text_of_json(line: bytes) -> bytes:
    """A line of `error_log FILE LEVEL json` (NGINX Plus) as the same line in plain text; what is none stays."""
    try:
        entry = json.loads(line.decode("utf-8", "replace"))
    except ValueError:
        return line
    time = _json_time(str(entry.get("timestamp", ""))) if isinstance(entry, dict) else None
    if time is None:
        return line
    message = str(entry.get("msg", ""))
    if "errno" in entry and f"({entry['errno']}: " not in message:
        # The number belongs before what nginx was doing.
        what, doing, action = message.partition(" while ")
        message = f"{what} ({entry['errno']}: {entry.get('errtext', '')}){doing}{action}"
    number = f"*{entry['cnum']} " if "cnum" in entry else ""
    text = f"{time} [{entry.get('level', '')}] {entry.get('pid', 0)}#{entry.get('tid', 0)}: {number}{message}"
    for name, mark in (("client", ""), ("server", ""), ("request", '"'), ("subrequest", '"'), ("upstream", '"')):
        if name in entry:
            text += f", {name}: {mark}{entry[name]}{mark}"
    return text.encode("utf-8")


@dataclass
class _Group:
    """Lines of one block and one minute that say the same."""

    line: bytes  # the first of them
    first: bytes
    last: bytes
    writer: bytes  # of the last of them: its process
    count: int = 1


class _Said(NamedTuple):
    level: bytes
    head: bytes | None  # None: no signature knows it
    upstream: bytes | None  # without its URI
    server: bytes | None
    special: bool  # of a subrequest; without a head: about an upstream, and a failure


class _Key(NamedTuple):
    """What makes lines one event."""

    signature: str
    level: str
    errno: int | None
    endpoint: EndpointKey | None  # as the message itself names it
    upstream: bytes | None  # without its URI
    server: bytes | None


@dataclass
class ErrorLines:
    """Folds the lines of one log."""

    begin: str  # older lines do not count
    proc: Path = Path("/proc")
    since: str | None = None
    lines: int = 0
    unclassified: int = 0
    tallies: Tallies[_Key] = field(default_factory=Tallies)
    _heads: dict[bytes, Kind | None] = field(default_factory=dict)
    _subrequests: dict[_Key, int] = field(default_factory=dict)
    _writers: dict[_Key, bytes] = field(default_factory=dict)  # of the newest line

    def add(self, block: bytes) -> None:
        """Whole lines. Those of a block that say the same in the same minute are counted before they are looked at."""
        begin = self.begin.encode("ascii")
        groups: dict[tuple[Any, ...], _Group] = {}
        for raw in block.rstrip(b"\n").split(b"\n"):
            line = text_of_json(raw[:_LONGEST]) if raw.startswith(b"{") else raw[:_LONGEST]
            prefix = _PREFIX.match(line)
            if prefix is None:
                self.lines += 1  # the rest of a message that holds a line feed
                continue
            time = prefix[1]
            if time < begin:
                continue
            self.lines += 1
            key = (time[:16], *self._said(line, prefix))
            group = groups.get(key)
            if group is None:
                groups[key] = _Group(line=line, first=time, last=time, writer=prefix[3])
            else:
                group.count += 1
                group.last, group.writer = time, prefix[3]
        for key, group in groups.items():
            self._fold(_Said(*key[1:]), group)

    def _said(self, line: bytes, prefix: re.Match[bytes]) -> tuple[Any, ...]:
        """The fields of `_Said`, for lines that matter; only the level of the others."""
        start = prefix.end()
        end = line.find(b", client: ", start)
        if end < 0:
            end = min((at for at in (line.find(mark, start) for mark in _FIELDS) if at >= 0), default=len(line))
        head = line[start:end]
        if self._kind(head) is None:
            return prefix[2], None, None, None, prefix[2] in _FAILURES and _about_upstream(line, head, end)
        at = line.find(_UPSTREAM, max(end, line.find(_REQUEST_END, end)))
        peer = _PEER.match(line, at + len(_UPSTREAM)) if at >= 0 else None
        server = line.find(_SERVER, end)
        name = line[server + len(_SERVER) :].partition(b",")[0] if server >= 0 else None
        return prefix[2], head, peer and peer[0], name, line.find(_SUBREQUEST, end) >= 0

    def _fold(self, said: _Said, group: _Group) -> None:
        first, last = group.first.decode("ascii"), group.last.decode("ascii")
        self.since = min(self.since, first) if self.since else first
        kind = self._kind(said.head) if said.head is not None else None
        if kind is None:
            self.unclassified += group.count if said.special else 0
            return
        key = _Key(kind.signature, _text(said.level) or "", kind.errno, kind.endpoint, said.upstream, said.server)
        tally = self.tallies.of(key, sample=lambda: _shown(group.line))
        if tally is not None:
            tally.add(first, last, count=group.count, detail=kind.detail)
            if tally.last == last:
                self._writers[key] = group.writer
            if said.special:
                self._subrequests[key] = self._subrequests.get(key, 0) + group.count

    def _kind(self, head: bytes) -> Kind | None:
        if head not in self._heads:
            # Not before: a host whose nginx had nothing to say compiles no grammar.
            from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._logs._grammar import classify

            if len(self._heads) >= _HEADS:
                self._heads.clear()
            self._heads[head] = classify(head.decode("utf-8", "replace"))
        return self._heads[head]

    def events(self) -> list[ErrorLogEvent]:
        """The most frequent first."""
        kinds = self.tallies.kinds
        return [
            self._event(key, tally, among=len(kinds))
            for key, tally in sorted(kinds.items(), key=lambda item: -item[1].count)
        ]

    def _event(self, key: _Key, tally: Tally, *, among: int) -> ErrorLogEvent:
        upstream = _text(key.upstream)
        return {
            "signature": key.signature,
            "level": key.level,
            "errno": key.errno,
            "upstream": redact_log_line(upstream) if upstream else None,
            "endpoint": key.endpoint or (endpoint_of(upstream) if upstream else None),
            "server": _text(key.server) or None,
            "count": tally.count,
            "first": tally.first,
            "last": tally.last,
            "sample": tally.sample,
            "details": {redact_log_line(detail): count for detail, count in tally.details.items()},
            "subrequests": self._subrequests.get(key, 0),
            "writer_ended": not (self.proc / self._writers[key].decode("ascii")).exists(),
            "per_minute": newest_minutes(tally.per_minute, among=among),
        }


def _about_upstream(line: bytes, head: bytes, end: int) -> bool:
    return b"upstream" in head or line.find(_UPSTREAM, end) >= 0


def _text(raw: bytes | None) -> str | None:
    return None if raw is None else raw.decode("utf-8", "replace")


def _shown(line: bytes) -> str:
    return redact_log_line(line.decode("utf-8", "replace").replace("\0", ""))
