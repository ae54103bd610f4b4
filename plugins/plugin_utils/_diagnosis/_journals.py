# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a unit's journal, or the kernel's, says about a cause."""

from __future__ import annotations

from typing import Iterable

from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import JournalEvent, Unit
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._clock import seconds_between
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._fleet import Fleet
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._model import Evidence

KERNEL = "kernel"

#: Before the unit's last exit by so much, a line is about an earlier run.
_LAST_RUN = 120.0


def events(fleet: Fleet, host: str, unit: str, signatures: Iterable[str]) -> list[JournalEvent]:
    """The lines of these kinds, in the order of the kinds."""
    journals = [each for each in fleet.observations[host]["journals"] if each["unit"] == unit]
    return [
        event
        for signature in signatures
        for journal in journals
        for event in journal["events"]
        if event["signature"] == signature
    ]


def of_last_run(fleet: Fleet, host: str, unit: Unit, signatures: Iterable[str]) -> list[JournalEvent]:
    """Lines that say how the unit ended the last time, not how it did some other day."""
    ended = unit["raw"].get("ExecMainExitTimestamp") or unit["raw"].get("StateChangeTimestamp") or ""
    return [
        event
        for event in events(fleet, host, unit["name"], signatures)
        if (late := seconds_between(event["last"], ended)) is None or late <= _LAST_RUN
    ]


def since(found: Iterable[JournalEvent], start: str) -> list[JournalEvent]:
    """Lines that came after a unit was started the last time."""
    return [event for event in found if (late := seconds_between(start, event["last"])) is None or late >= 0]


def journal_evidence(host: str, unit: str, found: Iterable[JournalEvent]) -> list[Evidence]:
    return [
        Evidence(
            kind="journal",
            text=f"{event['count']} x {event['signature']}, last at {event['last']}: {event['sample']}",
            source=f"{host}:{unit}",
        )
        for event in found
    ]


def tail_evidence(fleet: Fleet, host: str, unit: str) -> list[Evidence]:
    """The newest lines of a unit that failed, for whoever has to mend it."""
    return [
        Evidence(kind="journal", text=line, source=f"{host}:{unit}")
        for journal in fleet.observations[host]["journals"]
        if journal["unit"] == unit
        for line in journal["tail"][-3:]
    ]
