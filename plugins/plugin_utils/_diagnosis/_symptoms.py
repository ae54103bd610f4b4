# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What nginx's logs tell of routes that answer now: which of it still counts, and whom it is about."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Collection, Iterable, Iterator, Sequence

from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import (
    AppServer,
    ErrorLogEvent,
    Listener,
    NginxInstance,
)
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._addresses import Place
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._clock import (
    RECENT,
    seconds_ago,
    seconds_between,
)
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._failures import Explanation, affected
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._fleet import Fleet, Use
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._model import (
    Confidence,
    Evidence,
    Finding,
    Fix,
    Severity,
)

_QUIET = 900.0  # seconds without a failure, and with requests
_DRAIN = 10.0  # seconds in which most requests end that began before a reload


@dataclass(frozen=True, eq=False)
class Symptom:
    """Lines of one kind about one endpoint, and the routes that lead there in the protocol that the lines name."""

    host: str  # of the nginx
    log: str
    event: ErrorLogEvent
    uses: tuple[Use, ...]

    @property
    def signature(self) -> str:
        return self.event["signature"]


@dataclass(frozen=True)
class Behind:
    """Who serves an endpoint."""

    key: str  # of the endpoint
    place: Place
    app: AppServer | None
    listeners: tuple[Listener, ...]

    @property
    def unit(self) -> str | None:
        return (self.app["unit"] if self.app else None) or next((each["unit"] for each in self.listeners), None)

    @property
    def subject(self) -> str:
        return self.unit or self.key


def seen_from(host: str, other: Behind) -> tuple[str, str]:
    """Host and subject of a finding about an app server that nginx's host can mend: only its own units go by name."""
    return host, other.subject if other.place.host == host else other.key


def symptoms(fleet: Fleet, explanations: Sequence[Explanation]) -> list[Symptom]:
    """Recent lines about endpoints that answer, and that were not started anew since."""
    dead = {use.end for each in explanations for failure in each.failures for use in failure.uses}
    return [
        Symptom(host=host, log=path, event=event, uses=uses)
        for host, path, event in events(fleet)
        for uses in [_uses(fleet, host, event)]
        if uses and uses[0].end not in dead and not _restarted_since(fleet, uses, event)
    ]


def events(fleet: Fleet, signatures: Collection[str] = ()) -> Iterator[tuple[str, str, ErrorLogEvent]]:
    """Host, log and event of all recent lines; of these signatures only, when any are given."""
    for host, observation in fleet.observations.items():
        for log in observation["error_logs"]:
            for event in log["events"]:
                if (not signatures or event["signature"] in signatures) and is_recent(fleet, host, event["last"]):
                    yield host, log["path"], event


def why_over(fleet: Fleet, host: str, log: str, event: ErrorLogEvent) -> str:
    """Say why such lines will not come again: nginx was told something new since, or all went well since; else ""."""
    last = event["last"]
    if _is_read_anew(fleet, host, log, event):
        return f"none since {last}: nginx read its configuration anew after that"
    ago = seconds_ago(fleet.observations[host], last)
    if ago is None or ago < _QUIET:
        return ""
    minutes = [minute for minute in _busy_minutes(fleet, host) if minute > last[:16]]
    return f"none since {last}, and every request since was answered" if minutes else ""


def _is_read_anew(fleet: Fleet, host: str, log: str, event: ErrorLogEvent) -> bool:
    """Tell whether every nginx that writes to this log read its configuration after that.

    Workers with the old one end their requests while the new ones serve already.
    """
    instances = fleet.observations[host]["nginx"]
    writers = [each for each in instances if any(one["destination"] == log for one in each["error_logs"])] or instances
    ages = [seconds_between(event["last"], each["workers_since"]) for each in writers if each["running"]]
    least = -_DRAIN if event["writer_ended"] else 1.0
    return bool(ages) and all(age is not None and age >= least for age in ages)


def _busy_minutes(fleet: Fleet, host: str) -> list[str]:
    """Minutes with requests, as long as none of them failed from there on."""
    logs = [log for log in fleet.observations[host]["access_logs"] if log["available"]]
    failed = max((event["last"][:16] for log in logs for event in log["events"] if event["status"] >= 500), default="")
    return [minute for log in logs for minute in log["per_minute"] if minute > failed]


def is_recent(fleet: Fleet, host: str, time: str) -> bool:
    ago = seconds_ago(fleet.observations[host], time)
    return ago is None or ago <= RECENT


def behind(fleet: Fleet, use: Use) -> Behind | None:
    """Who is at the other end; None when that host was not looked at."""
    places = fleet.places(use)
    if not places:
        return None
    return Behind(use.endpoint["key"], places[0], fleet.app_behind(places[0]), tuple(fleet.listeners(places[0])))


def line_evidence(host: str, log: str, event: ErrorLogEvent) -> Evidence:
    told = "; ".join(f"{number} x {detail}" for detail, number in event["details"].items())
    return Evidence(
        kind="error_log",
        text=f"{event['count']} x {event['signature']}"
        + (f" ({told})" if told else "")
        + f", first at {event['first']}, last at {event['last']}: {event['sample']}",
        source=f"{host}:{log}",
    )


def past(
    cause: str,
    *,
    host: str,
    subject: str,
    uses: Iterable[Use],
    evidence: Iterable[Evidence],
    severity: Severity = "intermittent",
    confidence: Confidence = "certain",
    endpoint: str | None = None,
    fix: Fix | None = None,
) -> Explanation:
    """A finding about what no probe shows now."""
    return Explanation(
        Finding(
            cause=cause,
            host=host,
            subject=subject,
            severity=severity,
            confidence=confidence,
            routes=affected(uses),
            endpoint=endpoint,
            evidence=tuple(dict.fromkeys(evidence)),
            fix=fix,
        ),
        failures=(),
    )


def settings_of(use: Use, name: str) -> list[list[str]]:
    """The values of a directive in force at a route, named without its module: "read_timeout"."""
    module = use.route["directive"][: -len("pass")]
    return of_route(use.instance, use.route["settings"], f"{module}{name}")


def of_route(instance: NginxInstance, number: int, name: str) -> list[list[str]]:
    return instance["route_settings"][number].get(name, [])


def _uses(fleet: Fleet, host: str, event: ErrorLogEvent) -> tuple[Use, ...]:
    """Lines about an address in another protocol are about a configuration that is no more."""
    scheme = (event["upstream"] or "").partition("://")[0]
    return tuple(
        use
        for use in fleet.uses_meant(host, event["endpoint"])
        if scheme in ("", use.endpoint["protocol"], {"uwsgi": "suwsgi"}.get(use.endpoint["protocol"], ""))
    )


def _restarted_since(fleet: Fleet, uses: Sequence[Use], event: ErrorLogEvent) -> bool:
    """Tell whether the app server was started anew after the last line."""
    for use in uses:
        other = behind(fleet, use)
        unit = fleet.unit(other.place.host, other.unit) if other else None
        if unit is not None and unit["active_since"]:
            late = seconds_between(event["last"], unit["active_since"])
            return late is not None and late > 0
    return False
