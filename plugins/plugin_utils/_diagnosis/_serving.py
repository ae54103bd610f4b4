# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What app servers do with requests, told from nginx's log lines, the app server's journal and its settings."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Iterable, Sequence

from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import JournalEvent
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis import _journals
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._closing import Told, cause_of_closing
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._evidence import units_evidence
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._failures import Explanation
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._fleet import Fleet, Use
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._model import Confidence, Evidence, Fix
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._remedies import buffers_fix, keepalive_fix
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._symptoms import (
    Behind,
    Symptom,
    behind,
    is_recent,
    line_evidence,
    past,
    seen_from,
    symptoms,
    why_over,
)

#: The connection ends before an answer.
CLOSING = ("closed_before_header", "reset_before_header", "reset_on_send", "fastcgi_closed")
_WAITING = ("timeout_header", "timeout_send")

#: What one line is enough for, whoever serves there.
_DIRECT = {
    "too_big_header": "too_big_header",
    "invalid_header": "invalid_response_header",
}

#: What nginx's configuration mends, on each host that has such routes.
_NGINX_SIDE = ("keepalive_race", "too_big_header")


@dataclass
class _Trouble:
    """All symptoms of one cause at one app server."""

    other: Behind | None  # None: its host was not looked at
    symptoms: list[Symptom] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)

    @property
    def confidence(self) -> Confidence:
        return "certain" if any(each.confidence == "certain" for each in self.told) else "likely"


def app_misbehaves(fleet: Fleet, explanations: Sequence[Explanation]) -> list[Explanation]:
    """Requests that got no answer, a late one, or one that nginx could not use."""
    explained = {end for each in explanations for end in each.ends}
    grouped: dict[tuple[str, str, str], _Trouble] = {}
    for symptom in symptoms(fleet, explanations):
        other = behind(fleet, symptom.uses[0])
        told = _cause(fleet, symptom, other, is_explained=symptom.uses[0].end in explained)
        if told:
            host, subject = _about(told.cause, symptom, other)
            trouble = grouped.setdefault((told.cause, host, subject), _Trouble(other))
            trouble.symptoms.append(symptom)
            trouble.told.append(told)
    return [
        _explained(fleet, cause, host, subject, trouble)
        for (cause, host, subject), trouble in sorted(grouped.items(), key=lambda item: item[0])
    ]


def _about(cause: str, symptom: Symptom, other: Behind | None) -> tuple[str, str]:
    if other is None:
        return symptom.uses[0].end
    return seen_from(symptom.host, other) if cause in _NGINX_SIDE else (other.place.host, other.subject)


def uwsgi_app_missing(fleet: Fleet, _explanations: Sequence[Explanation]) -> list[Explanation]:
    """uWSGI runs, and has no app to run."""
    found: dict[tuple[str, str], tuple[list[JournalEvent], list[Use]]] = {}
    for use in fleet.uses:
        other = behind(fleet, use)
        if other and other.app and other.app["kind"] == "uwsgi" and other.unit and not _serves(fleet, use):
            said = _since_start(fleet, other, ("uwsgi_no_app",))
            if said:
                found.setdefault((other.place.host, other.subject), (said, []))[1].append(use)
    return [
        past(
            "uwsgi_app_missing",
            host=host,
            subject=subject,
            uses=uses,
            endpoint=uses[0].endpoint["key"],
            severity="outage",
            evidence=_journals.journal_evidence(host, subject, said),
        )
        for (host, subject), (said, uses) in sorted(found.items())
    ]


def _serves(fleet: Fleet, use: Use) -> bool:
    """Tell whether some app answered: one that is loaded by the request is none when uWSGI starts."""
    return any(probe["status"] is not None and probe["status"] < 500 for probe in fleet.probes(use))


def _cause(fleet: Fleet, symptom: Symptom, other: Behind | None, *, is_explained: bool) -> Told | None:
    if symptom.signature in _DIRECT:
        return Told(_DIRECT[symptom.signature], [])
    if is_explained:  # connections that end and answers that are late follow from most other causes
        return None
    if symptom.signature in CLOSING and other:
        return cause_of_closing(fleet, other, symptom)
    return _cause_of_waiting(fleet, symptom, other) if symptom.signature in _WAITING else None


def _cause_of_waiting(fleet: Fleet, symptom: Symptom, other: Behind | None) -> Told:
    load = _load_evidence(fleet, symptom)
    if other is None:
        return Told("app_slow", load)
    host = other.place.host
    said = _said(fleet, other, ("phpfpm_max_children",))
    if said:
        return Told("phpfpm_saturated", [*_journals.journal_evidence(host, other.subject, said), *load])
    said = _said(fleet, other, ("uwsgi_listen_queue_full",))
    at_once = other.app["settings"].get("concurrency") if other.app else None
    most = max(symptom.event["per_minute"].values(), default=0)
    if said or (isinstance(at_once, int) and most > at_once):
        text = f"{most} requests timed out in one minute; it works on {at_once} at once"
        shown = [Evidence(kind="capacity", text=text, source=host)] if at_once else []
        return Told("app_pool_saturated", [*shown, *_journals.journal_evidence(host, other.subject, said), *load])
    return Told("app_slow", load)


def _load_evidence(fleet: Fleet, symptom: Symptom) -> list[Evidence]:
    """Whether it fails only when there is much to do: minutes with failures beside minutes without."""
    for log in fleet.observations[symptom.host]["access_logs"]:
        bad = [number for minute, number in log["per_minute"].items() if minute in symptom.event["per_minute"]]
        good = [number for minute, number in log["per_minute"].items() if minute not in symptom.event["per_minute"]]
        if bad and good and min(bad) > max(good):
            text = (
                f"only under load: at least {min(bad)} requests in minutes with failures, at most {max(good)} in others"
            )
            return [Evidence(kind="access_log", text=text, source=f"{symptom.host}:{log['path']}")]
    return []


def _explained(fleet: Fleet, cause: str, host: str, subject: str, trouble: _Trouble) -> Explanation:
    lines = [line_evidence(each.host, each.log, each.event) for each in trouble.symptoms]
    served = [line for each in trouble.symptoms for line in _served(fleet, each)]
    unit = trouble.other.unit if trouble.other else None
    over = [why_over(fleet, each.host, each.log, each.event) for each in trouble.symptoms]
    fix = _fix(cause, trouble)
    if all(over):  # what has changed since is not known, only whether something is left to be done
        fix = replace(fix, automatic=False) if fix and fix.automatic else None
    return past(
        cause,
        host=host,
        subject=subject,
        uses=[use for each in trouble.symptoms for use in each.uses],
        endpoint=trouble.symptoms[0].uses[0].endpoint["key"],
        severity="risk" if all(over) else "intermittent",
        fix=fix,
        confidence=trouble.confidence,
        evidence=[
            *(Evidence(kind="error_log", text=text, source=host) for text in over if all(over)),
            *(line for told in trouble.told for line in told.evidence),
            *lines,
            *served,
            *(units_evidence(fleet, trouble.other.place.host, [unit]) if trouble.other and unit else ()),
        ],
    )


def _fix(cause: str, trouble: _Trouble) -> Fix | None:
    """What nginx's configuration mends; the rest is for whoever runs or writes the app."""
    uses = [use for each in trouble.symptoms for use in each.uses]
    if cause == "too_big_header":
        return buffers_fix(uses, {each.event["server"] for each in trouble.symptoms})
    if cause == "keepalive_race":
        return keepalive_fix(uses, trouble.other.app if trouble.other else None)
    return None


def _served(fleet: Fleet, symptom: Symptom) -> list[Evidence]:
    """Whether clients saw it, as far as the access log tells."""
    logs = [log for log in fleet.observations[symptom.host]["access_logs"] if log["available"]]
    if logs and not any(log["has_upstream_status"] for log in logs):
        text = (
            "the access log's format has no $upstream_status: whether nginx's next try hid it from clients is not known"
        )
        return [Evidence(kind="access_log", text=text, source=f"{symptom.host}:{logs[0]['path']}")]
    found = [
        (log["path"], event)
        for log in logs
        for event in log["events"]
        if event["endpoint"] == symptom.event["endpoint"]
        and "," in (event["upstream_status"] or "")
        and event["status"] < 500
    ]
    return [
        Evidence(
            kind="access_log",
            text=f"{event['count']} requests got the next try's answer, $upstream_status {event['upstream_status']}",
            source=f"{symptom.host}:{path}",
        )
        for path, event in found
    ]


def _said(fleet: Fleet, other: Behind, signatures: Iterable[str]) -> list[JournalEvent]:
    if other.unit is None:
        return []
    found = _journals.events(fleet, other.place.host, other.unit, signatures)
    return [each for each in found if is_recent(fleet, other.place.host, each["last"])]


def _since_start(fleet: Fleet, other: Behind, signatures: Iterable[str]) -> list[JournalEvent]:
    unit = fleet.unit(other.place.host, other.unit)
    found = _journals.events(fleet, other.place.host, other.unit or "", signatures)
    return _journals.since(found, unit["active_since"]) if unit else found
