# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A log_format turned into what reads its lines."""

from __future__ import annotations

import re
from typing import NamedTuple

from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._shared import local_time

_VARIABLE = r"\$(?:\{(\w+)\}|(\w+))"
_BEFORE = 12  # characters of the text before a variable that tell its place

#: What can tell the time of a line.
_TIMES = {
    "time_local": r"\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d",
    "time_iso8601": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d",
    "msec": r"\d{9,10}\.\d{3}",
}
_AFTER_TIME = {"time_local": r" [+-]\d{4}", "time_iso8601": r"[+-]\d\d:\d\d", "msec": ""}
_KNOWN = {
    "status": r"\d{3}|-",
    "upstream_status": r"(?:\d{3}|-)(?:(?:, | : )(?:\d{3}|-))*|",
    "request_time": r"[\d.]+|-",
    "body_bytes_sent": r"\d+|-",
    "bytes_sent": r"\d+|-",
    "remote_addr": r"[^ \"]+",
}
_WANTED = frozenset(
    [
        "status",
        "upstream_status",
        "upstream_addr",
        "request_time",
        "request",
        "request_method",
        "request_uri",
        "server_name",
        "host",
        "http_host",
    ]
)
_FAILED = r"(?:5\d\d|499|009)"
_RETRIED = r"(?:\d{3}|-)(?:, | : )(?:\d{3}|-)"
_MONTHS = {
    name: f"{number:02d}"
    for number, name in enumerate(
        ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"), start=1
    )
}


class FormatError(ValueError):
    """A format that does not tell what is needed; the message is the reason."""


class Format(NamedTuple):
    line: re.Pattern[bytes]  # with a group for each variable that is wanted, and one named `time`
    stamp: re.Pattern[bytes]  # the time alone, in its first group
    candidates: tuple[re.Pattern[bytes], ...]  # what no line without a failure or a retry matches, or nearly none
    has: frozenset[str]  # wanted variables that are there
    clock: str  # the variable that holds the time

    def first_time(self, piece: bytes) -> str | None:
        match = self.stamp.search(piece)
        return self.local(match[1]) if match else None

    def local(self, raw: bytes) -> str:
        """A time as "2026/11/21 03:50:01"."""
        text = raw.decode("ascii")
        if self.clock == "msec":
            return local_time(int(text.partition(".")[0]))
        if self.clock == "time_iso8601":
            return text.replace("-", "/").replace("T", " ")
        return f"{text[7:11]}/{_MONTHS.get(text[3:6], '00')}/{text[:2]} {text[12:]}"


def read_format(text: str) -> Format:
    """Raise FormatError for one that has no time or no status."""
    parts = _split(text)
    names = [name for _before, name in parts]
    clock = next((name for name in names if name in _TIMES), None)
    if clock is None:
        raise FormatError("its format has no time")
    if "status" not in names:
        raise FormatError("its format has no $status")
    before = dict(reversed([(name, before[-_BEFORE:]) for before, name in parts]))
    candidates = [_search(before["status"], _FAILED)]
    if "upstream_status" in before:
        candidates.append(_search(before["upstream_status"], _RETRIED))
    return Format(
        line=re.compile(_line(parts, clock).encode("utf-8"), re.DOTALL),
        stamp=_search(before[clock], f"({_TIMES[clock]})"),
        candidates=tuple(candidates),
        has=frozenset(names) & _WANTED,
        clock=clock,
    )


def _split(text: str) -> list[tuple[str, str]]:
    """Each variable with the text before it; what follows the last one is of no use."""
    found, end = [], 0
    for match in re.finditer(_VARIABLE, text):
        found.append((text[end : match.start()], match[1] or match[2]))
        end = match.end()
    return found + ([(text[end:], "")] if text[end:] else [])


def _search(before: str, pattern: str) -> re.Pattern[bytes]:
    edge = re.escape(before) if before else r"\b"
    return re.compile((edge + pattern).encode("utf-8"))


def _line(parts: list[tuple[str, str]], clock: str) -> str:
    """Up to the last variable that is wanted."""
    pattern, seen = "", set()
    wanted = max(index for index, (_before, name) in enumerate(parts) if name in _WANTED or name == clock)
    for index, (before, name) in enumerate(parts[: wanted + 1]):
        pattern += re.escape(before)
        following = parts[index + 1][0] if index + 1 < len(parts) else None
        if name == clock and clock not in seen:
            pattern += f"(?P<time>{_TIMES[name]}){_AFTER_TIME[name]}"
        elif name in _WANTED and name not in seen:
            pattern += f"(?P<{name}>{_value(name, following)})"
        elif name:
            pattern += f"(?:{_value(name, following)})"
        seen.add(name)
    return pattern


def _value(name: str, following: str | None) -> str:
    if name in _KNOWN:
        return _KNOWN[name]
    if following is None:
        return r"[^\n]*"
    # nginx escapes quotes in values, as \x22 or as \".
    return r'(?:[^"\\\n]|\\.)*' if following.startswith('"') else r"[^\n]*?"
