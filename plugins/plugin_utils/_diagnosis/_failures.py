# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What does not answer: dead endpoints of a fleet, and what every rule says about them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Iterable, NamedTuple

from ansible_collections.sre.bad_gateway.plugins.module_utils._keepalive import seconds
from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import Endpoint, Probe
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._addresses import Place
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._clock import RECENT, seconds_ago
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._fleet import Fleet, Use
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._model import (
    AffectedRoute,
    Confidence,
    Evidence,
    Finding,
    Severity,
)

_WORKS = ("answered", "connected")

#: Nothing takes the connection: the one kind of failure that says that no process is there.
NOBODY_THERE = ("refused", "missing")
#: What nginx logs then.
NOBODY_LINES = ("connect_refused", "connect_enoent")


_GAVE_UP = ("timeout_header", "timeout_send")
_READ_TIMEOUT = 60.0  # seconds, nginx's own


@dataclass(frozen=True, eq=False)
class Failure:
    """One endpoint that does not answer the nginx of one host."""

    uses: tuple[Use, ...]  # all of that host and that endpoint
    probe: Probe | None  # None: no probe was made, the listeners tell
    outcome: str  # as in a probe
    owners: tuple[str, ...]
    severity: Severity

    @property
    def host(self) -> str:
        """The host of the nginx."""
        return self.uses[0].host

    @property
    def endpoint(self) -> Endpoint:
        return self.uses[0].endpoint

    @property
    def errno(self) -> int | None:
        return self.probe["errno"] if self.probe is not None else None

    @property
    def is_at_connect(self) -> bool:
        """Tell whether nginx does not even get a connection."""
        return self.probe is None or self.probe["phase"] == "connect"

    @property
    def is_unanswered_connect(self) -> bool:
        """Tell whether its connections vanish: nobody refuses, nobody accepts."""
        return self.outcome == "timeout" and self.is_at_connect and self.endpoint["transport"] == "tcp"

    @property
    def confidence(self) -> Confidence:
        """How sure it is that nginx meets this failure too. It may wait for longer than a probe does."""
        if self.outcome == "timeout" and self.severity == "risk":
            return "possible"
        return "certain" if self.probe is not None and self.probe["as_nginx"] else "likely"


@dataclass(frozen=True)
class Explanation:
    """A finding, the failures that it explains, and the app server that is to serve once it is fixed."""

    finding: Finding
    failures: tuple[Failure, ...]
    app: tuple[str, str] | None = None  # host and unit
    uses: tuple[Use, ...] = ()  # that answer now; a finding about the past is about these

    @property
    def ends(self) -> set[tuple[str, str]]:
        """The endpoints that it is about, as the nginx of which host uses them: what logs say of them is explained."""
        return {use.end for use in self.uses} | {use.end for failure in self.failures for use in failure.uses}


class Hit(NamedTuple):
    """A failure and one of the places at which its endpoint ends."""

    failure: Failure
    place: Place


def failures(fleet: Fleet) -> list[Failure]:
    """Every endpoint of the fleet that does not answer, one failure for each nginx host."""
    dead = {use: (probe, outcome) for use in fleet.uses for probe, outcome in _death(fleet, use)}
    surviving = {use.route_key for use in fleet.uses if use not in dead}
    grouped: dict[tuple[str, str, str], list[Use]] = {}
    for use in dead:
        grouped.setdefault((use.host, use.endpoint["key"], use.endpoint["protocol"]), []).append(use)
    return [
        Failure(
            uses=tuple(uses),
            probe=dead[uses[0]][0],
            outcome=dead[uses[0]][1],
            owners=fleet.owners(uses[0]),
            severity="risk"
            if _may_only_be_slow(fleet, uses[0], dead[uses[0]][0])
            else _severity(fleet, uses, surviving=surviving, outcome=dead[uses[0]][1], probe=dead[uses[0]][0]),
        )
        for _unused, uses in sorted(grouped.items())
    ]


def places(fleet: Fleet, failure: Failure) -> list[Place]:
    return fleet.places(failure.uses[0])


def affected(uses: Iterable[Use]) -> tuple[AffectedRoute, ...]:
    """The routes of these uses, each once, in a stable order."""
    ordered = sorted(uses, key=lambda use: (use.host, use.instance["id"], *use.written_at))
    return tuple(dict.fromkeys(AffectedRoute.of(use.route) for use in ordered))


def worst(explained: Iterable[Failure]) -> Severity:
    severities: set[Severity] = {failure.severity for failure in explained}
    if "outage" in severities:
        return "outage"
    return "intermittent" if "intermittent" in severities else "risk"


def surest(explained: Iterable[Failure]) -> Confidence:
    return "certain" if any(failure.confidence == "certain" for failure in explained) else "likely"


def failure_evidence(fleet: Fleet, failure: Failure) -> list[Evidence]:
    """What shows the failure on the nginx host: the probe, the routes, the error log."""
    return [
        _probe_evidence(failure),
        *_route_evidence(failure),
        *_survivor_evidence(failure),
        *log_evidence(fleet, failure),
    ]


def log_evidence(fleet: Fleet, failure: Failure) -> list[Evidence]:
    """What nginx itself said about that endpoint."""
    return [
        Evidence(
            kind="error_log",
            text=f"{event['count']} x {event['signature']}, last at {event['last']}: {event['sample']}",
            source=f"{failure.host}:{log['path']}",
        )
        for log in fleet.observations[failure.host]["error_logs"]
        for event in log["events"]
        if event["endpoint"] == failure.endpoint["key"]
    ]


def _death(fleet: Fleet, use: Use) -> list[tuple[Probe | None, str]]:
    """Why an endpoint is dead: nothing, or one pair of the probe that shows it and its outcome."""
    probes = fleet.probes(use)
    if any(probe["outcome"] in _WORKS for probe in probes):
        return []
    if probes:
        return [(probes[0], probes[0]["outcome"])]
    return [(None, outcome) for outcome in _outcome_by_listeners(fleet, use)]


def _outcome_by_listeners(fleet: Fleet, use: Use) -> list[str]:
    """What a probe would have met, as far as the listeners of the endpoint's host tell it."""
    if use.endpoint["resolve_error"]:
        return ["unresolved"]
    ends = fleet.places(use)
    if any((file := fleet.socket_file(place)) and not file["exists"] for place in ends):
        return ["missing"]
    if not ends or any(_may_be_served(fleet, place) for place in ends):
        return []
    return ["refused"]


def _may_be_served(fleet: Fleet, place: Place) -> bool:
    """Something listens there, be it in a network that nginx may share, or the host's listeners could not be read."""
    listening = fleet.listeners(place) or fleet.foreign_listeners(place)
    return bool(listening) or not fleet.observations[place.host]["listeners"]


def _severity(
    fleet: Fleet, uses: list[Use], *, surviving: set[tuple[str, str, str]], outcome: str, probe: Probe | None
) -> Severity:
    """An outage where a route has no other server left. Asking the next hides a refusal from clients, not a wait, and
    where a variable has chosen nobody else is asked: then the log tells whether it chooses that one at all."""
    slow = outcome == "timeout" and probe is not None and probe["phase"] == "read"
    if not slow and any(use.route_key not in surviving for use in uses):
        return "outage"
    if any(use.route["chosen"] and _is_met(fleet, use) for use in uses):
        return "intermittent"
    return "risk" if outcome in NOBODY_THERE or all(use.route["chosen"] for use in uses) else "intermittent"


def _is_met(fleet: Fleet, use: Use) -> bool:
    """Tell whether requests to that route have failed at that endpoint lately."""
    observation = fleet.observations[use.host]
    return any(
        use.is_meant_by(event["endpoint"])
        and event["server"] in (None, *use.route["server_names"][:1])
        and (seconds_ago(observation, event["last"]) or 0.0) <= RECENT
        for log in observation["error_logs"]
        for event in log["events"]
    )


def _may_only_be_slow(fleet: Fleet, use: Use, probe: Probe | None) -> bool:
    """Tell whether the probe gave up before nginx would: no other request waits there, and nginx itself got answers."""
    if probe is None or (probe["outcome"], probe["phase"]) != ("timeout", "read"):
        return False
    given = use.instance["route_settings"][use.route["settings"]].get(f"{use.route['directive'][:-4]}read_timeout")
    patience = seconds(given[0][0]) if given and given[0] else _READ_TIMEOUT
    observation = fleet.observations[use.host]
    gave_up = any(
        event["signature"] in _GAVE_UP
        and use.is_meant_by(event["endpoint"])
        and (seconds_ago(observation, event["last"]) or 0.0) <= RECENT
        for log in observation["error_logs"]
        for event in log["events"]
    )
    queued = any(each["queued"] for place in fleet.places(use) for each in fleet.listeners(place))
    return patience is not None and probe["milliseconds"] < patience * 1000 and not gave_up and not queued


def _probe_evidence(failure: Failure) -> Evidence:
    key, probe = failure.endpoint["key"], failure.probe
    if probe is None:
        return Evidence(
            kind="socket",
            text=f"{key}: nothing listens there (no probe was made; this is read from the listening sockets)",
            source=failure.owners[0] if failure.owners else failure.host,
        )
    number = f", errno {probe['errno']}" if probe["errno"] is not None else ""
    tried = probe["address"] or "nothing, it has no address"
    whom = probe["user"] if probe["as_nginx"] else f"{probe['user']}, not as nginx's worker"
    return Evidence(
        kind="probe",
        text=f"{key}: {probe['outcome']} at {probe['phase']}{number}: {probe['detail']} (tried {tried} as {whom})",
        source=failure.host,
    )


def _route_evidence(failure: Failure) -> list[Evidence]:
    """Which nginx on which host sends requests there: a route alone does not say its host."""
    texts = {
        (f"{failure.host}:{use.route['file']}:{use.route['line']}", _sends(use)): None
        for use in sorted(failure.uses, key=lambda use: use.written_at)
    }
    return [Evidence(kind="config", text=text, source=source) for source, text in texts]


def _sends(use: Use) -> str:
    version = f" {use.instance['version']}" if use.instance["version"] else ""
    return f"{use.instance['flavour']}{version} on {use.host} sends {use.route['id']} to {use.route['target']}"


def _survivor_evidence(failure: Failure) -> list[Evidence]:
    if failure.severity == "outage" or failure.outcome not in NOBODY_THERE:
        return []
    text = "the upstream's other servers answer: nginx asks them next, one server is missing from the group"
    if any(use.route["chosen"] for use in failure.uses):
        text = "a variable decides where nginx sends a request; its other values lead to servers that answer"
    return [Evidence(kind="config", text=text, source=failure.host)]
