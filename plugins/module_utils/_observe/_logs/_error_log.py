# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""nginx's error logs, wherever their lines are: the newest part of each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._logs._error_lines import ErrorLines, error_stamp
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._logs._files import (
    Allowance,
    LogReader,
    Taken,
    Window,
    no_file,
    smallest_first,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._logs._fold import KINDS
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._logs._journaled import (
    STANDARD_ERROR,
    is_journaled,
    journaled_lines,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._shared import Notes, reason

if TYPE_CHECKING:
    from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import ErrorLog, ErrorLogSetting


def _closed(setting: ErrorLogSetting, why: str) -> ErrorLog:
    return {
        "path": setting["destination"],
        "level": setting["level"],
        "available": False,
        "why": why,
        "size": 0,
        "bytes_read": 0,
        "files_read": [],
        "whole": False,
        "since": None,
        "lines": 0,
        "unclassified": 0,
        "events": [],
    }


def _opened(setting: ErrorLogSetting, taken: Taken, lines: ErrorLines) -> ErrorLog:
    return {
        "path": setting["destination"],
        "level": setting["level"],
        "available": True,
        "why": "",
        "size": taken.size,
        "bytes_read": taken.bytes_read,
        "files_read": taken.files,
        "whole": taken.whole,
        "since": lines.since,
        "lines": lines.lines,
        "unclassified": lines.unclassified,
        "events": lines.events(),
    }


def _nowhere(destination: str) -> str:
    """Why a destination is no file; "" when it is one."""
    if destination.startswith("syslog:"):
        return "goes to syslog"
    if destination.startswith("memory:"):
        return "kept in nginx's memory only"
    if destination in STANDARD_ERROR:
        return "goes to the standard error of nginx, and so to the journal or a container's log"
    return "thrown away by the configuration" if destination in ("/dev/null", "off") else ""


def _read(setting: ErrorLogSetting, *, reader: LogReader, allowance: Allowance) -> ErrorLog:
    path = setting["destination"]
    why = no_file(path)
    if why:
        return _closed(setting, why)
    lines = ErrorLines(begin=reader.window.begin)
    taken = reader.read(path, limit=allowance.share(), stamp=error_stamp, consume=lines.add)
    allowance.spend(taken.bytes_read)
    if not taken.files:
        return _closed(setting, "another name of a log that was read already")
    if not taken.whole:
        reader.notes.miss(f"older lines of error log {path}", f"only its newest {taken.bytes_read:,} bytes were read")
    _say_left_out(path, lines, notes=reader.notes)
    return _opened(setting, taken, lines)


def _say_left_out(destination: str, lines: ErrorLines, *, notes: Notes) -> None:
    if lines.tallies.left_out:
        notes.miss(f"{lines.tallies.left_out} lines of error log {destination}", f"more than {KINDS} kinds of failures")


def _read_journal(setting: ErrorLogSetting, units: Sequence[str], *, window: Window, notes: Notes) -> ErrorLog:
    """What nginx's units logged there. Where nothing is, it cannot be told whether nginx was silent or unheard."""
    destination = setting["destination"]
    found, why = journaled_lines(destination, units, since=window.since)
    if not found:
        return _closed(setting, why or f"{_nowhere(destination)}; that of {', '.join(units)} has no line of it")
    if why:
        notes.miss(f"older lines of error log {destination}", why)
    lines = ErrorLines(begin=window.begin)
    text = "".join(f"{line}\n" for line in found).encode("utf-8", "replace")
    lines.add(text)
    _say_left_out(destination, lines, notes=notes)
    return _opened(setting, Taken(size=len(text), bytes_read=len(text), whole=not why), lines)


def read_error_logs(
    settings: Iterable[ErrorLogSetting], *, units: Mapping[str, Sequence[str]], window: Window, notes: Notes
) -> list[ErrorLog]:
    """The newest part of each destination, once each, in the order of the settings.

    `units` names the units of nginx that log to a destination: the journal may have what is in no file.
    """
    first = {setting["destination"]: setting for setting in reversed(list(settings))}
    wanted = {path: setting for path, setting in first.items() if not _nowhere(path)}
    reader = LogReader(window=window, notes=notes)
    allowance = Allowance(limit=window.limit, logs=len(wanted))
    logs: dict[str, ErrorLog] = {}
    for path in smallest_first(wanted):
        try:
            logs[path] = _read(wanted[path], reader=reader, allowance=allowance)
        except OSError as error:
            logs[path] = _closed(wanted[path], reason(error))
    for path, setting in first.items():
        if is_journaled(path) and units.get(path):
            logs[path] = _read_journal(setting, units[path], window=window, notes=notes)
    found = [logs.get(path) or _closed(setting, _nowhere(path)) for path, setting in reversed(list(first.items()))]
    for log in found:
        if not log["available"]:
            notes.miss(f"error log {log['path']}", log["why"])
    return found
