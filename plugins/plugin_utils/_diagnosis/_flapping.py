# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What kept nginx from connecting a while ago and does not now: queues, ports, and app servers that come and go."""

from __future__ import annotations

from typing import Callable, Iterable, Sequence

from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import Unit
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis import _journals
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._addresses import host_and_port
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._clock import (
    RECENT,
    seconds_ago,
    seconds_between,
)
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._complaints import (
    Complaint,
    complaints,
    healed_by_start,
)
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._evidence import units_evidence
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._failures import (
    NOBODY_LINES,
    Explanation,
    affected,
)
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._fleet import Fleet, Use
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._model import (
    Confidence,
    Evidence,
    Finding,
)
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._network import (
    CONNTRACK_LINES,
    ipv6_evidence,
    overflow_evidence,
    ports_evidence,
)
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._queues import queue_evidence
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._units import (
    OOM_LINES,
    RESTART_LINES,
    START_LINES,
    Trouble,
    holders,
    is_active,
    is_looping,
    trouble_of,
)

_BROKEN = ("closed_before_header", "reset_before_header", "reset_on_send")
_TIMED_OUT = ("timeout_connect", "connect_kernel_timeout")

#: The start that ended a gap came at most so long after the last line that shows the gap, in seconds.
_AFTER_GAP = 60.0

_OFTEN = 3  # starts within an hour

_Judge = Callable[[Fleet, Complaint], "list[Evidence]"]


def wrong_program_answers(fleet: Fleet, explanations: Sequence[Explanation]) -> list[Explanation]:
    """A unit cannot start because another process has its port, and that process answers nginx."""
    touched = {end for each in explanations for end in each.ends}
    grouped: dict[tuple[str, str], list[Use]] = {}
    for use in fleet.uses:
        for place in fleet.places(use) if use.end not in touched else ():
            for name in sorted({app["unit"] for app in fleet.meant_for(place) if app["unit"]}):
                grouped.setdefault((place.host, name), []).append(use)
    found = []
    for (host, name), uses in sorted(grouped.items()):
        unit = fleet.unit(host, name)
        if unit is None or is_active(unit) or not holders(fleet, host, unit):
            continue
        trouble = trouble_of(fleet, host, unit)
        if trouble.cause == "app_port_conflict":
            found.append(_finding(trouble.cause, uses, host=host, subject=name, evidence=trouble.evidence))
    return found


def app_comes_and_goes(fleet: Fleet, explanations: Sequence[Explanation]) -> list[Explanation]:
    """nginx lost its app server lately, and its unit dies and is revived."""
    grouped: dict[tuple[str, str], list[Complaint]] = {}
    for complaint in complaints(fleet, explanations, [*NOBODY_LINES, *_BROKEN]):
        unit = _unit(fleet, complaint)
        if unit is not None and complaint.place is not None and unit["restarts"] > 0:
            grouped.setdefault((complaint.place.host, unit["name"]), []).append(complaint)
    found = []
    for (host, name), about in sorted(grouped.items()):
        unit = fleet.unit(host, name)
        trouble = _dying(fleet, host, unit) if unit else None
        if trouble is not None:
            evidence = (*trouble.evidence, *(each for one in about for each in one.evidence))
            uses = [use for one in about for use in one.uses]
            found.append(_finding(trouble.cause, uses, host=host, subject=name, evidence=evidence))
    return found


def unix_queue_was_full(fleet: Fleet, explanations: Sequence[Explanation]) -> list[Explanation]:
    return _told(fleet, explanations, "unix_backlog_full", ["connect_eagain_unix"], _unix_queue)


def tcp_queue_was_full(fleet: Fleet, explanations: Sequence[Explanation]) -> list[Explanation]:
    return _told(fleet, explanations, "tcp_backlog_overflow", _TIMED_OUT, _tcp_queue, confidence="likely")


def conntrack_was_full(fleet: Fleet, explanations: Sequence[Explanation]) -> list[Explanation]:
    return _told(fleet, explanations, "conntrack_full", _TIMED_OUT, _conntrack, confidence="likely")


def ports_were_exhausted(fleet: Fleet, explanations: Sequence[Explanation]) -> list[Explanation]:
    return _told(fleet, explanations, "ephemeral_ports_exhausted", ["connect_eaddrnotavail"], _ports)


def ipv6_was_tried(fleet: Fleet, explanations: Sequence[Explanation]) -> list[Explanation]:
    return _told(fleet, explanations, "ipv6_unavailable", ["connect_eaddrnotavail", "connect_unreach"], _ipv6)


def restart_window(fleet: Fleet, explanations: Sequence[Explanation]) -> list[Explanation]:
    """Nobody listened for a moment, and then the unit was started, again and again."""
    found = []
    for complaint in complaints(fleet, explanations, NOBODY_LINES):
        unit, place = _unit(fleet, complaint), complaint.place
        gap = seconds_between(complaint.last, unit["active_since"]) if unit else None
        if unit is None or place is None or gap is None or not -1 <= gap <= _AFTER_GAP:
            continue
        starts = _starts(fleet, place.host, unit)
        if starts < _OFTEN or complaint.minutes > 2 * starts:
            continue  # somebody mended it, or it was down for longer than a restart takes
        text = f"{unit['name']} was started at {unit['active_since']}, {starts} times within the last hour"
        found.append(
            _finding(
                "restart_window",
                complaint.uses,
                host=place.host,
                subject=complaint.key,
                confidence="likely",
                evidence=[
                    Evidence(kind="unit", text=text, source=place.host),
                    *complaint.evidence,
                    *units_evidence(fleet, place.host, [unit["name"]]),
                ],
            )
        )
    return found


def _finding(
    cause: str,
    uses: Sequence[Use],
    *,
    host: str,
    subject: str,
    evidence: Iterable[Evidence],
    confidence: Confidence = "certain",
) -> Explanation:
    finding = Finding(
        cause=cause,
        host=host,
        subject=subject,
        severity="intermittent",
        confidence=confidence,
        routes=affected(uses),
        endpoint=uses[0].endpoint["key"],
        evidence=tuple(dict.fromkeys(evidence)),
        fix=None,
    )
    return Explanation(finding, (), uses=tuple(uses))


def _told(
    fleet: Fleet,
    explanations: Sequence[Explanation],
    cause: str,
    signatures: Sequence[str],
    judge: _Judge,
    *,
    confidence: Confidence = "certain",
) -> list[Explanation]:
    """A finding about each endpoint whose lines `judge` takes for that cause, and that no later start has healed."""
    found = []
    for complaint in complaints(fleet, explanations, signatures):
        unit = _unit(fleet, complaint)
        shown = judge(fleet, complaint)
        if shown and not healed_by_start(fleet, complaint, unit["name"] if unit else None):
            at_nginx = cause in ("ephemeral_ports_exhausted", "ipv6_unavailable") or complaint.place is None
            found.append(
                _finding(
                    cause,
                    complaint.uses,
                    host=complaint.host if at_nginx or complaint.place is None else complaint.place.host,
                    subject=complaint.key,
                    confidence=confidence,
                    evidence=[*complaint.evidence, *shown],
                )
            )
    return found


def _unix_queue(fleet: Fleet, complaint: Complaint) -> list[Evidence]:
    return queue_evidence(fleet, complaint.place) if complaint.place else complaint.evidence


def _tcp_queue(fleet: Fleet, complaint: Complaint) -> list[Evidence]:
    if complaint.place is None or not fleet.listeners(complaint.place):
        return []
    overflows = overflow_evidence(fleet, complaint.place.host)
    return [*queue_evidence(fleet, complaint.place), *overflows] if overflows else []


def _conntrack(fleet: Fleet, complaint: Complaint) -> list[Evidence]:
    hosts = dict.fromkeys([*([complaint.place.host] if complaint.place else []), complaint.host])
    return [
        evidence
        for host in hosts
        for event in _journals.events(fleet, host, _journals.KERNEL, CONNTRACK_LINES)
        if _is_recent(fleet, host, event["last"])
        for evidence in _journals.journal_evidence(host, _journals.KERNEL, [event])
    ]


def _ports(fleet: Fleet, complaint: Complaint) -> list[Evidence]:
    ends = [_end(event["endpoint"]) for _unused, event in complaint.events if event["endpoint"]]
    if any("[" in end for end in ends):
        return []
    return ports_evidence(fleet, complaint.host, ends) or complaint.evidence


def _ipv6(fleet: Fleet, complaint: Complaint) -> list[Evidence]:
    """Lines about an IPv6 address of the endpoint, on a host that has no IPv6."""
    addresses = {host_and_port(event["endpoint"])[0] for _unused, event in complaint.events if event["endpoint"]}
    return [
        evidence
        for address in sorted(addresses)
        if ":" in address
        for evidence in ipv6_evidence(fleet, complaint.host, address)
    ]


def _end(key: str | None) -> str:
    return (key or "").partition(":")[2]


def _unit(fleet: Fleet, complaint: Complaint) -> Unit | None:
    """The unit of the app server at the endpoint."""
    place = complaint.place
    if place is None:
        return None
    behind = fleet.app_behind(place)
    names = [app["unit"] for app in ([behind] if behind else fleet.meant_for(place))]
    return next((unit for name in names if (unit := fleet.unit(place.host, name))), None)


def _dying(fleet: Fleet, host: str, unit: Unit) -> Trouble | None:
    """Why a unit that runs now does not keep running; None when it was restarted long ago, or once."""
    killed = [
        each for each in _journals.events(fleet, host, unit["name"], OOM_LINES) if _is_recent(fleet, host, each["last"])
    ]
    if killed and unit["raw"].get("OOMPolicy", "stop") != "continue":
        return Trouble("unit_killed_by_oom_policy", tuple(_journals.journal_evidence(host, unit["name"], killed)))
    again = [
        each
        for each in _journals.events(fleet, host, unit["name"], RESTART_LINES)
        if each["count"] > 1 and _is_recent(fleet, host, each["last"])
    ]
    if not again and not is_looping(fleet, host, unit):
        return None
    text = f"{unit['name']}: {unit['restarts']} restarts so far, up since {unit['active_since']}"
    shown = (Evidence(kind="unit", text=text, source=host), *_journals.journal_evidence(host, unit["name"], again))
    return Trouble("app_crash_loop", shown)


def _starts(fleet: Fleet, host: str, unit: Unit) -> int:
    """How often somebody started the unit within the last hour, as its journal says: not what revived it by itself."""
    return _times(fleet, host, unit, START_LINES) - _times(fleet, host, unit, RESTART_LINES)


def _times(fleet: Fleet, host: str, unit: Unit, signatures: Sequence[str]) -> int:
    observation = fleet.observations[host]
    return sum(
        count
        for event in _journals.events(fleet, host, unit["name"], signatures)
        for minute, count in event["per_minute"].items()
        if (age := seconds_ago(observation, f"{minute}:00")) is not None and age <= RECENT
    )


def _is_recent(fleet: Fleet, host: str, when: str) -> bool:
    age = seconds_ago(fleet.observations[host], when)
    return age is not None and age <= RECENT
