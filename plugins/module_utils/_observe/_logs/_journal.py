# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The journal of nginx, of the app servers and of the kernel: what it says of workers, boots and kills.

One journalctl looks for all units, newest first, so that what it found within its time is the newest. It filters by
itself: an app server that logs each request there would fill any number of lines.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._logs._app_log import read_app_logs
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._logs._journal_grammar import ANY
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._logs._journal_lines import SAMPLE, Entry, Lines
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._redact import redact_message
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._shared import (
    SEARCH_PATH,
    Notes,
    Ran,
    local_time,
    run,
)

if TYPE_CHECKING:
    from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import Journal, Unit

KERNEL = "kernel"

_SECONDS = 5.0
MOST_LINES = 10_000
_TAIL = 10
_TAIL_LINES = 1_000  # among which they are looked for
_TAIL_SECONDS = 2.0
_FIELDS = "MESSAGE,UNIT,OBJECT_SYSTEMD_UNIT,_SYSTEMD_UNIT,_TRANSPORT,_PID"


def entries(text: str) -> Iterator[Entry]:
    """What journalctl printed as JSON, a line each; one that was cut off by a time-out is none."""
    for line in text.splitlines():
        try:
            found = json.loads(line)
        except ValueError:
            continue
        if isinstance(found, dict) and "__REALTIME_TIMESTAMP" in found:
            yield Entry(
                time=local_time(int(found["__REALTIME_TIMESTAMP"]) / 1e6),
                unit=_unit(found),
                pid=_text(found.get("_PID")),
                message=_text(found.get("MESSAGE")),
            )


def _unit(found: dict[str, Any]) -> str:
    """Whom a line is about: systemd's own lines name their unit."""
    if found.get("_TRANSPORT") == "kernel":
        return KERNEL
    return _text(found.get("UNIT") or found.get("OBJECT_SYSTEMD_UNIT") or found.get("_SYSTEMD_UNIT"))


def _text(value: Any) -> str:
    """A field: text, bytes as a list of numbers, None when it was too long, or a list of these."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(one, int) for one in value):
        return bytes(one & 0xFF for one in value).decode("utf-8", "replace")
    return _text(value[0]) if isinstance(value, list) else ""


def _matches(units: Iterable[str]) -> list[str]:
    fields = ("_SYSTEMD_UNIT", "UNIT", "OBJECT_SYSTEMD_UNIT")
    words = [f"{name}={unit}" for unit in units for name in fields] + ["_TRANSPORT=kernel"]
    return [part for word in words for part in (word, "+")][:-1]


def _journalctl(arguments: list[str], *, seconds: float) -> Ran:
    """Line by line where that can be: what a journalctl that takes too long keeps in its buffer would be lost."""
    by_line = ["stdbuf", "--output=L"] if shutil.which("stdbuf", path=SEARCH_PATH) else []
    asked = ["journalctl", "--no-pager", "--output=json", f"--output-fields={_FIELDS}", *arguments]
    ran = run([*by_line, *asked], seconds=seconds)
    return ran._replace(why=ran.why.replace("stdbuf", "journalctl", 1))


def search(matches: list[str], *, words: str, since: float, seconds: float) -> Ran:
    """The newest lines since then that hold `words`, a pattern, or all of them where journalctl was built without."""
    common = ["--reverse", f"--lines={MOST_LINES}", f"--since=@{int(since)}", *matches]
    asked = _journalctl(["--case-sensitive=yes", f"--grep={words}", *common], seconds=seconds)
    if asked.status and "pattern matching" in asked.stderr:
        return _journalctl(common, seconds=seconds)
    return asked


def unreadable(asked: Ran) -> str:
    """Why there is nothing to read; "" when there is a journal. No match at all is status 1 and no word."""
    said = asked.stderr.strip().splitlines()
    hidden = [line for line in said if "insufficient permissions" in line or "No journal files" in line]
    if hidden:
        return hidden[0]
    failed = asked.status not in (0, 1) or (asked.status == 1 and said and not said[0].startswith("Hint: "))
    return (asked.why or (said[-1] if said else f"journalctl ended with {asked.status}")) if failed else ""


def _troubled(unit: Unit) -> bool:
    return (
        unit["active_state"] in ("failed", "activating")
        or unit["restarts"] > 0
        or unit["result"] not in ("success", "")
    )


def _tails(units: list[str]) -> dict[str, list[str]]:
    """The last words of units in trouble, their own: systemd's about them are events."""
    tails: dict[str, list[str]] = {unit: [] for unit in units}
    if not units:
        return tails
    matches = [f"_SYSTEMD_UNIT={unit}" for unit in units]  # of one field: any of them
    asked = _journalctl(["--reverse", f"--lines={_TAIL_LINES}", *matches], seconds=_TAIL_SECONDS)
    for entry in entries(asked.stdout or asked.cut):
        tail = tails.get(entry.unit, [])
        if len(tail) < _TAIL:
            tail.insert(0, redact_message(entry.message)[:SAMPLE])
    return tails


def _journal(unit: str, lines: Lines, *, why: str, tail: list[str]) -> Journal:
    available = not why or lines.count > 0
    return {
        "unit": unit,
        "available": available,
        "why": "" if available else why,
        "since": lines.since,
        "lines": lines.count,
        "events": lines.events(),
        "tail": tail,
    }


def _read(units: list[str], *, since: float, notes: Notes) -> tuple[list[Entry], str]:
    """The lines of the journal, the oldest first, and why there are none or not all."""
    asked = search(_matches(units), words=ANY, since=since, seconds=_SECONDS)
    why = unreadable(asked)
    if why:
        notes.miss("journals", why)
    found = list(entries(asked.stdout or asked.cut))[::-1]
    if len(found) >= MOST_LINES:
        notes.miss(f"journal lines before {found[0].time}", f"more than {MOST_LINES} lines")
    return found, "" if found else why


def read_journals(
    units: Iterable[Unit], *, logs: Iterable[tuple[str, str]], since: float, notes: Notes
) -> list[Journal]:
    """The journals of these units and of the kernel, from `since` (seconds of the epoch) on.

    `logs` are (unit, path): what a unit logs to a file by itself counts as its journal. Nothing is read where there is
    no unit at all: without systemd, or on a host of something else.
    """
    by_name = {unit["name"]: unit for unit in units}
    if not by_name:
        return []
    found, why = _read(list(by_name), since=since, notes=notes)
    lines: dict[str, Lines] = {name: Lines() for name in (*by_name, KERNEL)}
    for entry in (*found, *read_app_logs(logs, since=since, notes=notes)):
        if entry.unit in lines:
            lines[entry.unit].add(entry)
    tails = _tails([name for name, unit in by_name.items() if _troubled(unit)] if not why else [])
    return [_journal(name, each, why=why, tail=tails.get(name, [])) for name, each in lines.items()]
