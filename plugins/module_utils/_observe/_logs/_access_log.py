# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""nginx's access logs: how many requests there were, and how those ended that failed or were tried twice.

Only failures are taken apart; all the others are counted by their times.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._logs._access_format import (
    Format,
    FormatError,
    read_format,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._logs._files import (
    Allowance,
    LogReader,
    Taken,
    Window,
    no_file,
    smallest_first,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._logs._fold import (
    KINDS,
    Tallies,
    Tally,
    add_minute,
    newest_minutes,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._logs._peer import address_endpoint
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._redact import redact_log_line
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._shared import Notes, reason

if TYPE_CHECKING:
    from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import (
        AccessLog,
        AccessLogEvent,
        AccessLogSetting,
    )

_LONGEST = 16 << 10  # bytes of a line
_SAMPLE = 400  # characters
_DAY = 1440  # minutes shown of all requests
_CLIENT_GONE, _NO_HTTP = 499, 9


class _Key(NamedTuple):
    """What makes requests one event."""

    status: int
    upstream_status: str | None
    upstream: str | None
    server: str | None


@dataclass
class AccessLines:
    """Folds the lines of one log."""

    form: Format
    begin: str
    since: str | None = None
    requests: int = 0
    unread: int = 0  # lines that look like a failure and are not in the format
    per_minute: dict[str, int] = field(default_factory=dict)
    tallies: Tallies[_Key] = field(default_factory=Tallies)
    _slowest: dict[_Key, float] = field(default_factory=dict)

    def add(self, block: bytes) -> None:
        """Whole lines."""
        for raw, count in Counter(self.form.stamp.findall(block)).items():
            time = self.form.local(raw)
            if time >= self.begin:
                self.requests += count
                self.since = min(self.since, time) if self.since else time
                add_minute(self.per_minute, time[:16], count)
        for line in self._candidates(block):
            self._add_line(line)

    def _candidates(self, block: bytes) -> Iterator[bytes]:
        starts: set[int] = set()
        for pattern in self.form.candidates:
            starts.update(block.rfind(b"\n", 0, match.end()) + 1 for match in pattern.finditer(block))
        for start in sorted(starts):
            end = block.find(b"\n", start)
            yield block[start : min(len(block) if end < 0 else end, start + _LONGEST)]

    def _add_line(self, line: bytes) -> None:
        match = self.form.line.match(line)
        if match is None:
            self.unread += 1
            return
        found = {name: raw.decode("utf-8", "replace") for name, raw in match.groupdict().items() if raw is not None}
        time = self.form.local(match["time"])
        status = int(found["status"]) if found["status"].isdigit() else 0
        tried = found.get("upstream_status")
        retried = tried is not None and ("," in tried or ":" in tried)
        if time < self.begin or not (status >= 500 or status in (_CLIENT_GONE, _NO_HTTP) or retried):
            return
        server = found.get("server_name") or found.get("host") or found.get("http_host")
        key = _Key(status, tried, found.get("upstream_addr"), server)
        tally = self.tallies.of(key, sample=lambda: _request(found))
        if tally is not None:
            tally.add(time, time, detail=_method(found))
            slow = _seconds(found.get("request_time"))
            if slow is not None:
                self._slowest[key] = max(slow, self._slowest.get(key, 0.0))

    def events(self) -> list[AccessLogEvent]:
        """The most frequent first."""
        kinds = sorted(self.tallies.kinds.items(), key=lambda item: -item[1].count)
        return [self._event(key, tally, among=len(kinds)) for key, tally in kinds]

    def _event(self, key: _Key, tally: Tally, *, among: int) -> AccessLogEvent:
        return {
            "status": key.status,
            "upstream_status": key.upstream_status,
            "upstream": key.upstream,
            "endpoint": address_endpoint(_last(key.upstream or "")),
            "server": key.server,
            "methods": tally.details,
            "count": tally.count,
            "first": tally.first,
            "last": tally.last,
            "slowest": self._slowest.get(key),
            "sample": tally.sample,
            "per_minute": newest_minutes(tally.per_minute, among=among),
        }


def _last(upstream: str) -> str:
    """The last of "127.0.0.1:8001, 127.0.0.1:8002 : unix:/run/x.sock"."""
    return upstream.replace(" : ", ", ").rpartition(", ")[2].strip()


def _request(found: dict[str, str]) -> str:
    words = found.get("request") or f"{found.get('request_method', '')} {found.get('request_uri', '')}".strip()
    return redact_log_line(words)[:_SAMPLE]


def _method(found: dict[str, str]) -> str | None:
    method = found.get("request_method") or found.get("request", "").partition(" ")[0]
    return method if method.isalpha() and method.isupper() else None


def _seconds(text: str | None) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        return None


def _closed(setting: AccessLogSetting, why: str) -> AccessLog:
    return {
        "path": setting["destination"],
        "available": False,
        "why": why,
        "has_upstream_status": False,
        "size": 0,
        "bytes_read": 0,
        "files_read": [],
        "since": None,
        "requests": 0,
        "per_minute": {},
        "events": [],
    }


def _opened(setting: AccessLogSetting, taken: Taken, lines: AccessLines) -> AccessLog:
    return {
        "path": setting["destination"],
        "available": True,
        "why": "",
        "has_upstream_status": "upstream_status" in lines.form.has,
        "size": taken.size,
        "bytes_read": taken.bytes_read,
        "files_read": taken.files,
        "since": lines.since,
        "requests": lines.requests,
        "per_minute": dict(sorted(lines.per_minute.items())[-_DAY:]),
        "events": lines.events(),
    }


def _nowhere(setting: AccessLogSetting) -> str:
    """Why a destination is no file; "" when it is one."""
    destination = setting["destination"]
    if destination.startswith("syslog:"):
        return "goes to syslog"
    if "$" in destination:
        return "its name holds variables"
    return "switched off" if destination in ("off", "/dev/null") else ""


def _read(setting: AccessLogSetting, *, reader: LogReader, form: Format, allowance: Allowance) -> AccessLog:
    path = setting["destination"]
    why = no_file(path)
    if why:
        return _closed(setting, why)
    lines = AccessLines(form=form, begin=reader.window.begin)
    taken = reader.read(path, limit=allowance.share(), stamp=form.first_time, consume=lines.add)
    allowance.spend(taken.bytes_read)
    if not taken.files:
        return _closed(setting, "another name of a log that was read already")
    if lines.tallies.left_out:
        reader.notes.miss(f"{lines.tallies.left_out} failures in access log {path}", f"more than {KINDS} kinds")
    if taken.bytes_read and not lines.requests:
        return _closed(setting, "no line in the window is in the format that the configuration gives it")
    return _opened(setting, taken, lines)


def read_access_logs(settings: Iterable[AccessLogSetting], *, window: Window, notes: Notes) -> list[AccessLog]:
    """The newest part of each destination, once each, in the order of the settings."""
    first = {setting["destination"]: setting for setting in reversed(list(settings))}
    files = {path: setting for path, setting in first.items() if not _nowhere(setting)}
    allowance = Allowance(limit=window.limit, logs=len(files))
    logs: dict[str, AccessLog] = {}
    reader = LogReader(window=window, notes=notes)
    for path in smallest_first(files):
        try:
            form = read_format(files[path]["format"])
            logs[path] = _read(files[path], reader=reader, form=form, allowance=allowance)
        except FormatError as error:
            logs[path] = _closed(files[path], str(error))
        except OSError as error:
            logs[path] = _closed(files[path], reason(error))
    found = [logs.get(path) or _closed(setting, _nowhere(setting)) for path, setting in reversed(list(first.items()))]
    for log in found:
        if not log["available"]:
            notes.miss(f"access log {log['path']}", log["why"])
    return found
