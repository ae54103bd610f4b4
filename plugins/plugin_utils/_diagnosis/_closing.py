# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Why an app server ends a connection before it answered: its journal says so, or its settings make it likely."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, NamedTuple

from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import JournalEvent
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis import _journals
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._clock import are_together, seconds_between
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._fleet import Fleet
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._keepalive import (
    closes_before_nginx,
    keepalive_evidence,
)
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._model import Confidence, Evidence
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._symptoms import Behind, Symptom, is_recent

_UWSGI_HTTP = "21573"  # the letters "GE" of a GET, read as a length
_KILLED = ("gunicorn_worker_sigkill",)
_CRASHES = (
    "gunicorn_worker_signal",
    "uwsgi_worker_died",
    "phpfpm_child_signal",
    "puma_worker_died",
    "uvicorn_child_died",
)
_RECYCLES = ("gunicorn_autorestart", "gunicorn_reload", "uwsgi_reload")
_BOOTS = ("gunicorn_booting_worker",)
_STARTING = 30.0  # seconds that an app server may take to make its first workers


class Told(NamedTuple):
    """A cause, and what speaks for it."""

    cause: str
    evidence: list[Evidence]
    confidence: Confidence = "certain"


@dataclass(frozen=True)
class _Case:
    """An app server that ended connections, and nginx's lines about it; None when a probe saw it happen just now."""

    fleet: Fleet
    other: Behind
    symptom: Symptom | None

    def said(self, *signatures: str) -> list[JournalEvent]:
        """What its journal said lately, and when nginx's lines were written."""
        if self.other.unit is None:
            return []
        host = self.other.place.host
        found = _journals.events(self.fleet, host, self.other.unit, signatures)
        return [each for each in found if is_recent(self.fleet, host, each["last"]) and self._is_then(each)]

    def shown(self, *signatures: str) -> list[Evidence]:
        return self.evidence(self.said(*signatures))

    def evidence(self, said: list[JournalEvent]) -> list[Evidence]:
        return _journals.journal_evidence(self.other.place.host, self.other.subject, said)

    def _is_then(self, event: JournalEvent) -> bool:
        """Clocks of two hosts may differ: there, lately has to do."""
        if self.symptom is None or self.symptom.host != self.other.place.host:
            return True
        return are_together(event["per_minute"], self.symptom.event["per_minute"])


def cause_of_closing(fleet: Fleet, other: Behind, symptom: Symptom | None = None) -> Told | None:
    """The first of the causes that shows."""
    case = _Case(fleet, other, symptom)
    for cause, judge in _SAID:
        evidence = judge(case)
        if evidence:
            return Told(cause, evidence)
    for guess in (_race, _recycle, _unread):
        told = guess(case)
        if told:
            return told
    return None


def _wrong_protocol(case: _Case) -> list[Evidence]:
    return case.evidence([each for each in case.said("uwsgi_invalid_block") if _UWSGI_HTTP in each["details"]])


def _large_header(case: _Case) -> list[Evidence]:
    return case.evidence([each for each in case.said("uwsgi_invalid_block") if set(each["details"]) - {_UWSGI_HTTP}])


def _out_of_memory(case: _Case) -> list[Evidence]:
    """The kernel counts its kills for each control group: none means that somebody else sent the signal."""
    kills = case.other.app["capacity"]["oom_kills"] if case.other.app else None
    said = case.shown(*_KILLED) or case.shown(*_CRASHES)
    if kills == 0 or not (said or kills):
        return []
    if not kills:
        return case.shown(*_KILLED)
    if not said and case.other.unit and _has_journal(case):
        return []  # it says nothing of a killed worker: the kills were another day
    text = f"the kernel killed {kills} processes of {case.other.subject} for memory since it was started"
    return [*said, Evidence(kind="capacity", text=text, source=case.other.place.host)]


def _has_journal(case: _Case) -> bool:
    journals = case.fleet.observations[case.other.place.host]["journals"]
    return any(each["unit"] == case.other.unit and each["available"] and each["lines"] for each in journals)


def _keeps_dying(case: _Case) -> list[Evidence]:
    restarts = case.said("systemd_scheduled_restart")
    return case.evidence(restarts) if sum(each["count"] for each in restarts) > 1 else []


def _by_signature(*signatures: str) -> Callable[[_Case], list[Evidence]]:
    return lambda case: case.shown(*signatures)


#: In this order: a worker that is killed for its time-out dies of a signal too.
_SAID: tuple[tuple[str, Callable[[_Case], list[Evidence]]], ...] = (
    ("protocol_mismatch_uwsgi", _wrong_protocol),
    ("uwsgi_header_too_big", _large_header),
    ("gunicorn_worker_timeout", _by_signature("gunicorn_worker_timeout", "puma_worker_timeout")),
    ("uwsgi_harakiri", _by_signature("uwsgi_harakiri")),
    ("phpfpm_terminated", _by_signature("phpfpm_timed_out")),
    ("worker_oom_killed", _out_of_memory),
    ("worker_crash", _by_signature(*_KILLED, *_CRASHES, "gunicorn_worker_exited")),
    ("app_crash_loop", _keeps_dying),
)


def _race(case: _Case) -> Told | None:
    uses = case.symptom.uses if case.symptom else ()
    if not any(closes_before_nginx(use, case.other.app) for use in uses):
        return None
    host = case.other.place.host
    evidence = [line for use in uses for line in keepalive_evidence(use, case.other.app, host)]
    return Told("keepalive_race", evidence, "likely")


def _recycle(case: _Case) -> Told | None:
    """Workers were replaced just then. Those that the unit's start made replaced nobody."""
    if case.symptom is None:
        return None
    said = case.said(*_RECYCLES) or [each for each in case.said(*_BOOTS) if not _is_start(case, each)]
    return Told("worker_recycle", case.evidence(said), "likely") if said else None


def _is_start(case: _Case, event: JournalEvent) -> bool:
    unit = case.fleet.unit(case.other.place.host, case.other.unit)
    after = seconds_between(unit["active_since"], event["last"]) if unit else None
    return after is not None and after <= _STARTING


def _unread(case: _Case) -> Told | None:
    """nginx could not send all of a request body."""
    if case.symptom is None or case.symptom.signature == "closed_before_header":
        return None
    return Told("early_close_upload", [], "likely") if 'request: "P' in case.symptom.event["sample"] else None
