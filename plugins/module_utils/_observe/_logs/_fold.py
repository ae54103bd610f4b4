# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lines of one kind, folded into one event: memory depends on the number of kinds, never on that of lines."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Callable, Generic, Hashable, TypeVar

_MINUTES = 1440  # kept of a kind while reading: a day
_MINUTES_SHOWN = 240  # of a kind, the newest
_MINUTES_IN_ALL = 10_000  # of all kinds of one log: an observation must stay small
_FEWEST_MINUTES = 10
_DETAILS = 8

KINDS = 500  # of one log; more is no diagnosis

Key = TypeVar("Key", bound=Hashable)


@dataclass
class Tally:
    """The lines of one kind, whatever the order in which they come."""

    sample: str
    count: int = 0
    first: str = ""
    last: str = ""
    per_minute: dict[str, int] = field(default_factory=dict)
    details: dict[str, int] = field(default_factory=dict)

    def add(self, first: str, last: str, *, count: int = 1, detail: str | None = None) -> None:
        """So many more lines of one minute, written between "2026/11/21 03:50:01" and `last`."""
        self.count += count
        self.first = min(self.first, first) if self.first else first
        self.last = max(self.last, last)
        add_minute(self.per_minute, first[:16], count)
        if detail is not None and (detail in self.details or len(self.details) < _DETAILS):
            self.details[detail] = self.details.get(detail, 0) + count


def add_minute(per_minute: dict[str, int], minute: str, count: int) -> None:
    if minute not in per_minute and len(per_minute) >= _MINUTES:
        oldest = min(per_minute)
        if minute < oldest:
            return
        del per_minute[oldest]
    per_minute[minute] = per_minute.get(minute, 0) + count


@dataclass
class Tallies(Generic[Key]):
    """All kinds of one log."""

    kinds: dict[Key, Tally] = field(default_factory=dict)
    left_out: int = 0  # how often a kind beyond those that are kept was met

    def of(self, key: Key, *, sample: Callable[[], str]) -> Tally | None:
        """The tally of a kind; None when there are too many kinds already."""
        tally = self.kinds.get(key)
        if tally is None:
            if len(self.kinds) >= KINDS:
                self.left_out += 1
                return None
            tally = self.kinds[key] = Tally(sample=sample())
        return tally


def newest_minutes(per_minute: dict[str, int], *, among: int = 1) -> dict[str, int]:
    """The newest minutes in order, fewer of each where it is one `among` many kinds."""
    kept = max(_FEWEST_MINUTES, min(_MINUTES_SHOWN, _MINUTES_IN_ALL // max(1, among)))
    return dict(sorted(per_minute.items())[-kept:])
