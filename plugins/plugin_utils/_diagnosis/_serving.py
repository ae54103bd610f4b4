# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What app servers do with requests, told from nginx's log lines, the app server's journal and its settings."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Callable, Iterable, Sequence

from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import AccessLogEvent, JournalEvent
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis import _journals
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._evidence import units_evidence
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._failures import Explanation
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._fleet import Fleet, Use
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._keepalive import (
    closes_before_nginx,
    keepalive_evidence,
)
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._model import Evidence, Severity
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._symptoms import (
    Behind,
    Symptom,
    behind,
    is_recent,
    line_evidence,
    past,
    symptoms,
)

#: The connection ends before an answer.
CLOSING = ("closed_before_header", "reset_before_header", "reset_on_send", "fastcgi_closed")
_WAITING = ("timeout_header", "timeout_send")

#: What one line is enough for, on whichever host the app server is.
_DIRECT = {
    "too_big_header": "too_big_header",
    "invalid_header": "invalid_response_header",
}

_UWSGI_HTTP = "21573"  # the letters "GE" of a GET, read as a length
_CRASHES = (
    "gunicorn_worker_signal",
    "uwsgi_worker_died",
    "phpfpm_child_signal",
    "puma_worker_died",
    "uvicorn_child_died",
)
_RECYCLES = ("gunicorn_autorestart", "gunicorn_booting_worker")


@dataclass
class _Trouble:
    """All symptoms of one cause at one app server."""

    other: Behind
    symptoms: list[Symptom] = field(default_factory=list)
    evidence: list[Evidence] = field(default_factory=list)


def app_misbehaves(fleet: Fleet, explanations: Sequence[Explanation]) -> list[Explanation]:
    """Requests that got no answer, a late one, or one that nginx could not use."""
    grouped: dict[tuple[str, str, str], _Trouble] = {}
    for symptom in symptoms(fleet, explanations):
        other = behind(fleet, symptom.uses[0])
        told = _cause(fleet, symptom, other) if other else None
        if other and told:
            key = (told[0], other.place.host, other.subject)
            trouble = grouped.setdefault(key, _Trouble(other))
            trouble.symptoms.append(symptom)
            trouble.evidence += told[1]
    return [_explained(fleet, cause, host, trouble) for (cause, host, _subject), trouble in sorted(grouped.items())]


def app_said_so(fleet: Fleet, explanations: Sequence[Explanation]) -> list[Explanation]:
    """The app itself answers 502 or 503, and nginx only passes it on."""
    told = {(failure.host, failure.endpoint["key"]) for each in explanations for failure in each.failures}
    return [
        past(
            f"app_said_{event['status']}",
            host=other.place.host,
            subject=other.subject,
            uses=uses,
            endpoint=event["endpoint"],
            severity=_now(fleet, uses, event["status"]),
            evidence=[
                Evidence(
                    kind="access_log",
                    text=f"{event['count']} requests got {event['status']} from {event['upstream']} itself "
                    f"($upstream_status {event['upstream_status']}), first {event['first']}, last {event['last']}: "
                    f"{event['sample']}",
                    source=f"{host}:{path}",
                ),
                *_unlogged(fleet, host),
            ],
        )
        for host, path, event in _access_events(fleet)
        if event["status"] in (502, 503)
        and _last(event["upstream_status"]) == str(event["status"])
        and not _failed_in_nginx(fleet, host, event)
        and (host, event["endpoint"]) not in told
        for uses in [tuple(use for use in fleet.uses if use.host == host and use.endpoint["key"] == event["endpoint"])]
        for other in [behind(fleet, uses[0]) if uses else None]
        if other is not None
    ]


def uwsgi_app_missing(fleet: Fleet, _explanations: Sequence[Explanation]) -> list[Explanation]:
    """uWSGI runs, and has no app to run."""
    found: dict[tuple[str, str], tuple[list[JournalEvent], list[Use]]] = {}
    for use in fleet.uses:
        other = behind(fleet, use)
        if other and other.app and other.app["kind"] == "uwsgi" and other.unit:
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


def cause_of_closing(
    fleet: Fleet, other: Behind, uses: Sequence[Use] = (), *, upload: bool = False
) -> tuple[str, list[Evidence]] | None:
    """Why an app server ends connections before it answered: its journal says it, or its settings make it likely."""
    for cause, judge in _CLOSING_JUDGES:
        evidence = judge(fleet, other)
        if evidence:
            return cause, evidence
    if any(closes_before_nginx(use, other.app) for use in uses):
        return "keepalive_race", [line for use in uses for line in keepalive_evidence(use, other.app, other.place.host)]
    recycled = _said(fleet, other, _RECYCLES)
    if recycled and not upload:
        return "worker_recycle", _journals.journal_evidence(other.place.host, other.subject, recycled)
    return ("early_close_upload", []) if upload else None


def _cause(fleet: Fleet, symptom: Symptom, other: Behind) -> tuple[str, list[Evidence]] | None:
    if symptom.signature in _DIRECT:
        return _DIRECT[symptom.signature], []
    if symptom.signature in CLOSING:
        upload = symptom.signature != "closed_before_header" and 'request: "POST ' in symptom.event["sample"]
        return cause_of_closing(fleet, other, symptom.uses, upload=upload)
    if symptom.signature in _WAITING:
        return _cause_of_waiting(fleet, symptom, other)
    return None


def _cause_of_waiting(fleet: Fleet, symptom: Symptom, other: Behind) -> tuple[str, list[Evidence]]:
    said = _said(fleet, other, ("phpfpm_max_children",))
    if said:
        return "phpfpm_saturated", _journals.journal_evidence(other.place.host, other.subject, said)
    said = _said(fleet, other, ("uwsgi_listen_queue_full",))
    at_once = other.app["settings"].get("concurrency") if other.app else None
    most = max(symptom.event["per_minute"].values(), default=0)
    if said or (isinstance(at_once, int) and most > at_once):
        text = f"{most} requests timed out in one minute; it works on {at_once} at once"
        shown = [Evidence(kind="capacity", text=text, source=other.place.host)] if at_once else []
        return "app_pool_saturated", [
            *shown,
            *_journals.journal_evidence(other.place.host, other.subject, said),
            *_load_evidence(fleet, symptom),
        ]
    return "app_slow", _load_evidence(fleet, symptom)


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


def _explained(fleet: Fleet, cause: str, host: str, trouble: _Trouble) -> Explanation:
    other = trouble.other
    lines = [line_evidence(each.host, each.log, each.event) for each in trouble.symptoms]
    served = [line for each in trouble.symptoms for line in _served(fleet, each)]
    units = units_evidence(fleet, host, [other.unit] if other.unit else [])
    return past(
        cause,
        host=host,
        subject=other.subject,
        uses=[use for each in trouble.symptoms for use in each.uses],
        endpoint=trouble.symptoms[0].event["endpoint"],
        evidence=[*trouble.evidence, *lines, *served, *units],
    )


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


def _timeouts(fleet: Fleet, other: Behind) -> list[Evidence]:
    return _told(fleet, other, ("gunicorn_worker_timeout", "puma_worker_timeout"))


def _wrong_protocol(fleet: Fleet, other: Behind) -> list[Evidence]:
    said = [each for each in _said(fleet, other, ("uwsgi_invalid_block",)) if _UWSGI_HTTP in each["details"]]
    return _journals.journal_evidence(other.place.host, other.subject, said)


def _large_header(fleet: Fleet, other: Behind) -> list[Evidence]:
    said = [each for each in _said(fleet, other, ("uwsgi_invalid_block",)) if set(each["details"]) - {_UWSGI_HTTP}]
    return _journals.journal_evidence(other.place.host, other.subject, said)


def _out_of_memory(fleet: Fleet, other: Behind) -> list[Evidence]:
    shown = _told(fleet, other, ("gunicorn_worker_sigkill",))
    kills = other.app["capacity"]["oom_kills"] if other.app else None
    if kills:
        text = f"the kernel killed {kills} processes of {other.subject} for memory since it was started"
        shown.append(Evidence(kind="capacity", text=text, source=other.place.host))
    return shown


def _by_signature(*signatures: str) -> Callable[[Fleet, Behind], list[Evidence]]:
    return lambda fleet, other: _told(fleet, other, signatures)


#: In this order: a worker that is killed for its time-out dies of a signal too.
_CLOSING_JUDGES: tuple[tuple[str, Callable[[Fleet, Behind], list[Evidence]]], ...] = (
    ("protocol_mismatch_uwsgi", _wrong_protocol),
    ("uwsgi_header_too_big", _large_header),
    ("gunicorn_worker_timeout", _timeouts),
    ("uwsgi_harakiri", _by_signature("uwsgi_harakiri")),
    ("phpfpm_terminated", _by_signature("phpfpm_timed_out")),
    ("worker_oom_killed", _out_of_memory),
    ("worker_crash", _by_signature(*_CRASHES)),
)


def _told(fleet: Fleet, other: Behind, signatures: Iterable[str]) -> list[Evidence]:
    return _journals.journal_evidence(other.place.host, other.subject, _said(fleet, other, signatures))


def _said(fleet: Fleet, other: Behind, signatures: Iterable[str]) -> list[JournalEvent]:
    if other.unit is None:
        return []
    found = _journals.events(fleet, other.place.host, other.unit, signatures)
    return [each for each in found if is_recent(fleet, other.place.host, each["last"])]


def _since_start(fleet: Fleet, other: Behind, signatures: Iterable[str]) -> list[JournalEvent]:
    unit = fleet.unit(other.place.host, other.unit)
    found = _journals.events(fleet, other.place.host, other.unit or "", signatures)
    return _journals.since(found, unit["active_since"]) if unit else found


def _access_events(fleet: Fleet) -> Iterable[tuple[str, str, AccessLogEvent]]:
    for host, observation in fleet.observations.items():
        for log in observation["access_logs"]:
            for event in log["events"]:
                if is_recent(fleet, host, event["last"]):
                    yield host, log["path"], event


def _last(statuses: str | None) -> str:
    return (statuses or "").replace(" : ", ", ").split(", ")[-1]


def _failed_in_nginx(fleet: Fleet, host: str, event: AccessLogEvent) -> bool:
    """nginx logs a 502 of its own with an error line, and $upstream_status 502 all the same."""
    minutes = set(event["per_minute"])
    return any(
        minutes & set(each["per_minute"])
        for log in fleet.observations[host]["error_logs"]
        for each in log["events"]
        if each["endpoint"] == event["endpoint"]
    )


def _unlogged(fleet: Fleet, host: str) -> list[Evidence]:
    text = "nginx's error log has no line about it: what nginx itself answers with 502 leaves one"
    return [Evidence(kind="error_log", text=text, source=host)] if fleet.observations[host]["error_logs"] else []


def _now(fleet: Fleet, uses: Sequence[Use], status: int) -> Severity:
    return "outage" if any(probe["status"] == status for use in uses for probe in fleet.probes(use)) else "intermittent"
