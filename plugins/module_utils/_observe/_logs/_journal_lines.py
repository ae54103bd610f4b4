# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lines of a unit, whether its journal holds them or a log of its own, folded by what they are about."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._logs._fold import Tallies, newest_minutes
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._logs._journal_grammar import (
    TRACEBACK,
    Told,
    ends_traceback,
    raised,
    told,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._redact import redact_message

if TYPE_CHECKING:
    from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import JournalEvent

SAMPLE = 400  # characters


class Entry(NamedTuple):
    """One line. A traceback is of one process, or of one file."""

    time: str
    unit: str
    pid: str
    message: str


@dataclass
class Lines:
    """Folds the lines of one unit, the oldest first."""

    since: str | None = None
    count: int = 0
    tallies: Tallies[str] = field(default_factory=Tallies)
    _tracebacks: set[str] = field(default_factory=set)  # processes within one

    def add(self, entry: Entry) -> None:
        self.since = self.since or entry.time
        self.count += 1
        about = self._told(entry)
        if about is None:
            return
        tally = self.tallies.of(about.signature, sample=lambda: redact_message(entry.message)[:SAMPLE])
        if tally is not None:
            tally.add(entry.time, entry.time, detail=about.detail)

    def _told(self, entry: Entry) -> Told | None:
        """A traceback is many lines; what was raised is the last of them."""
        if entry.message == TRACEBACK:
            self._tracebacks.add(entry.pid)
            return None
        if entry.pid in self._tracebacks and ends_traceback(entry.message):
            self._tracebacks.discard(entry.pid)
            return raised(entry.message)
        return told(entry.message)

    def events(self) -> list[JournalEvent]:
        return [
            {
                "signature": signature,
                "count": tally.count,
                "first": tally.first,
                "last": tally.last,
                "details": {redact_message(detail): count for detail, count in tally.details.items()},
                "sample": tally.sample,
                "per_minute": newest_minutes(tally.per_minute, among=len(self.tallies.kinds)),
            }
            for signature, tally in self.tallies.kinds.items()
        ]
