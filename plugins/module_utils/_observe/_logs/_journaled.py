# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lines of nginx's error log that are in the journal: what goes to standard error, or to the host's own syslog."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._logs._journal import (
    MOST_LINES,
    entries,
    search,
    unreadable,
)

STANDARD_ERROR = frozenset({"stderr", "/dev/stderr", "/dev/stdout", "/proc/self/fd/2"})

_SYSLOG = r"syslog:server=unix:(?:/dev/log|/run/systemd/journal/dev-log)(?:,|$)"
#: Syslog puts the host and a tag before a line, the standard error nothing.
_LINE = r"\d{4}/\d\d/\d\d \d\d:\d\d:\d\d \[\w+\] \d+#\d+: "
_WORDS = r"\d\d:\d\d:\d\d \[(warn|error|crit|alert|emerg)\] \d+#\d+: "

_SECONDS = 3.0


def is_journaled(destination: str) -> bool:
    """Whether the journal may have what nginx logs there, if systemd runs it."""
    return destination in STANDARD_ERROR or re.match(_SYSLOG, destination) is not None


def journaled_lines(destination: str, units: Sequence[str], *, since: float) -> tuple[list[str], str]:
    """The newest lines that these units of nginx logged there, the oldest first, and why there are none or not all."""
    # What goes to syslog may go to the standard error as well: lines of one way only, or they count twice.
    way = "stdout" if destination in STANDARD_ERROR else "syslog"
    matches = [f"_TRANSPORT={way}", *(f"_SYSTEMD_UNIT={unit}" for unit in units)]  # of one field any, of two both
    asked = search(matches, words=_WORDS, since=since, seconds=_SECONDS)
    found = [entry.message for entry in entries(asked.stdout or asked.cut)]
    if len(found) >= MOST_LINES:
        return _proper(found), f"more than {MOST_LINES} lines"
    return _proper(found), unreadable(asked)


def _proper(messages: Sequence[str]) -> list[str]:
    """Lines as a file would hold them, the oldest first."""
    found = ((re.search(_LINE, message), message) for message in reversed(messages))
    return [message[match.start() :] for match, message in found if match]
