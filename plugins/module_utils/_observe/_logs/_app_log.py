# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The logs that app servers keep by themselves, for where they do not print to the journal.

PHP-FPM does so in most distributions. gunicorn's and uWSGI's are read when their settings name one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._logs._files import LogReader, Window, no_file
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._logs._journal_lines import Entry
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._shared import Notes

if TYPE_CHECKING:
    from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import AppServer

_LIMIT = 1 << 20  # bytes of each log
_LOGS = 16
_SETTINGS = ("error_log", "errorlog", "logto", "daemonize")  # of PHP-FPM, of gunicorn, of uWSGI
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_CLOCK = rb"(?P<%b>\d\d:\d\d:\d\d)"

#: gunicorn prints [2026-11-21 08:21:45 +0000], PHP-FPM [21-Nov-2026 08:21:52], uWSGI Sat Nov 21 08:21:49 2026.
_TIME = (
    rb"\[(?P<iso>\d{4}-\d\d-\d\d) " + _CLOCK % b"iso_clock" + rb" [+-]\d{4}\]"
    rb"|\[(?P<day>\d\d)-(?P<month>[A-Z][a-z]{2})-(?P<year>\d{4}) " + _CLOCK % b"clock" + rb"(?:\.\d+)?\]"
    rb"|\b[A-Z][a-z]{2} (?P<c_month>[A-Z][a-z]{2}) (?P<c_day>[ \d]\d) " + _CLOCK % b"c_clock" + rb" (?P<c_year>\d{4})\b"
)


def stamp(piece: bytes) -> str | None:
    """The first time in it, as "2026/11/21 08:21:45"; all of these are the host's local time."""
    match = re.search(_TIME, piece)
    if match is None:
        return None
    found = {name: value.decode() for name, value in match.groupdict().items() if value is not None}
    if "iso" in found:
        return f"{found['iso'].replace('-', '/')} {found['iso_clock']}"
    prefix = "c_" if "c_clock" in found else ""
    month = found[f"{prefix}month"]
    if month not in _MONTHS:
        return None
    day = found[f"{prefix}day"].strip()
    return f"{found[f'{prefix}year']}/{_MONTHS.index(month) + 1:02}/{day:>02} {found[f'{prefix}clock']}"


def app_logs(apps: Iterable[AppServer]) -> Iterator[tuple[str, str]]:
    """(unit, path) of each log that is a file by its name: not "-", not "syslog", not a host to send to."""
    for app in apps:
        for name in _SETTINGS:
            path = app["settings"].get(name)
            if app["unit"] and isinstance(path, str) and path.startswith("/"):
                yield app["unit"], path


def read_app_logs(logs: Iterable[tuple[str, str]], *, since: float, notes: Notes) -> Iterator[Entry]:
    """The lines of each log as if they stood in its unit's journal, the newest file first, each file's oldest first."""
    reader = LogReader(window=Window(since=since, limit=_LIMIT), notes=notes)
    chosen = list(dict.fromkeys(logs))
    for unit, path in chosen[_LOGS:]:
        notes.miss(f"log {path} of {unit}", f"only {_LOGS} logs of app servers are read")
    for unit, path in chosen[:_LOGS]:
        blocks: list[bytes] = []
        try:
            why = no_file(path)
            if not why:
                reader.read(path, limit=_LIMIT, stamp=stamp, consume=blocks.append)
        except FileNotFoundError:
            continue  # of a server that never ran: nothing was said
        except OSError as error:
            notes.miss(f"log {path} of {unit}", error)
            continue
        if why:
            notes.miss(f"log {path} of {unit}", why)
        found = [entry for block in blocks for entry in _entries(block, unit=unit, path=path)]
        if blocks and not found:
            notes.miss(f"log {path} of {unit}", "its lines bear no time")
        yield from (entry for entry in found if entry.time >= reader.window.begin)


def _entries(block: bytes, *, unit: str, path: str) -> Iterator[Entry]:
    """Many lines bear no time: theirs is that of the line before."""
    time = None
    for line in block.split(b"\n"):
        time = stamp(line) or time
        if time is not None and line:
            yield Entry(time=time, unit=unit, pid=path, message=line.decode("utf-8", "replace"))
