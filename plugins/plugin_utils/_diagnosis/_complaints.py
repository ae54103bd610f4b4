# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What nginx's error logs say about endpoints that answer now."""

from __future__ import annotations

from dataclasses import dataclass
from operator import itemgetter
from typing import Iterable, Iterator, Sequence

from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import (
    ErrorLogEvent,
    Observation,
)
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._addresses import Place
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._clock import (
    RECENT,
    seconds_ago,
    seconds_between,
)
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._failures import Explanation
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._fleet import Fleet, Use
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._model import Evidence


@dataclass(frozen=True, eq=False)
class Complaint:
    """Lines of some kinds about one endpoint in the error logs of one nginx host."""

    uses: tuple[Use, ...]
    place: Place | None  # where the endpoint ends, when exactly one host that was looked at has it
    events: tuple[tuple[str, ErrorLogEvent], ...]  # with the log's path

    @property
    def host(self) -> str:
        """The host of the nginx."""
        return self.uses[0].host

    @property
    def key(self) -> str:
        return self.uses[0].endpoint["key"]

    @property
    def last(self) -> str:
        return max(event["last"] for _unused, event in self.events)

    @property
    def minutes(self) -> int:
        """In how many minutes there was such a line."""
        return len({minute for _unused, event in self.events for minute in event["per_minute"]})

    @property
    def evidence(self) -> list[Evidence]:
        return [event_evidence(self.host, path, event) for path, event in self.events]


def event_evidence(host: str, path: str, event: ErrorLogEvent) -> Evidence:
    times = f"from {event['first']} to {event['last']}"
    return Evidence(
        kind="error_log",
        text=f"{event['count']} x {event['signature']}, {times}: {event['sample']}",
        source=f"{host}:{path}",
    )


def complaints(fleet: Fleet, explanations: Iterable[Explanation], signatures: Sequence[str]) -> Iterator[Complaint]:
    """Recent lines of these kinds about endpoints that no explanation touches."""
    touched = {end for each in explanations for end in each.ends}
    grouped: dict[tuple[str, str], list[tuple[Use, tuple[str, ErrorLogEvent]]]] = {}
    for host in fleet.observations:
        for path, event in recent_events(fleet, host, signatures):
            for use in fleet.uses_meant(host, event["endpoint"]):
                if use.end not in touched:
                    grouped.setdefault(use.end, []).append((use, (path, event)))
    for _unused, about in sorted(grouped.items(), key=itemgetter(0)):
        uses = tuple(dict.fromkeys(use for use, _line in about))
        lines = {id(line[1]): line for _use, line in about}
        places = fleet.places(uses[0])
        yield Complaint(uses, places[0] if len(places) == 1 else None, tuple(lines.values()))


def recent_events(fleet: Fleet, host: str, signatures: Sequence[str]) -> Iterator[tuple[str, ErrorLogEvent]]:
    observation = fleet.observations[host]
    for log in observation["error_logs"]:
        for event in log["events"]:
            if event["signature"] in signatures and _is_recent(observation, event):
                yield log["path"], event


def _is_recent(observation: Observation, event: ErrorLogEvent) -> bool:
    age = seconds_ago(observation, event["last"])
    return age is not None and age <= RECENT


def healed_by_start(fleet: Fleet, complaint: Complaint, unit: str | None) -> bool:
    """Tell whether the unit was started after the last of the lines."""
    started = fleet.unit(complaint.place.host, unit) if complaint.place and unit else None
    after = seconds_between(complaint.last, started["active_since"]) if started else None
    return after is not None and after >= 0
