# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What goes wrong once nginx is connected: TLS, another protocol, no answer. The probe tells it before any log line."""

from __future__ import annotations

from typing import Callable, Sequence

from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._closing import cause_of_closing
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._evidence import units_evidence
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._explain import explain
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._failures import Explanation, Failure
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._fleet import Fleet
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._model import Evidence
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._queues import is_full, queue_evidence
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._symptoms import (
    Behind,
    Symptom,
    behind,
    line_evidence,
    past,
    symptoms,
    why_over,
)

_TLS = ("https", "grpcs")
_PLAIN_WORDS = ("wrong version", "packet length too long", "unknown protocol", "http request")
_UNTRUSTED_WORDS = (
    *("certificate verify failed", "certificate is not for", "certificate has expired", "certificate is not yet valid"),
    *("self-signed", "self signed", "local issuer"),
)

#: What the other side was shown to speak, and the cause that it makes, by what nginx speaks.
_MISMATCHES: dict[str, dict[str | None, str]] = {
    "http": {
        "uwsgi": "protocol_mismatch_uwsgi",
        "fastcgi": "protocol_mismatch_fastcgi",
        "http2": "http2_or_grpc_mismatch",
    },
    "uwsgi": {"fastcgi": "protocol_mismatch_fastcgi", None: "protocol_mismatch_uwsgi"},
    "fastcgi": {"uwsgi": "protocol_mismatch_uwsgi", None: "protocol_mismatch_fastcgi"},
    "grpc": {None: "http2_or_grpc_mismatch"},
}

#: What an app server of a kind speaks, for the case that it says nothing at all to what it does not understand.
_KINDS = {"uwsgi": "uwsgi", "php-fpm": "fastcgi"}


#: What nginx writes when it is not understood.
_BY_LINE = {
    "tls_plain_backend": "https_to_plain_backend",
    "tls_alert": "tls_sni_missing_or_alert",
    "tls_peer_closed": "tls_sni_missing_or_alert",
    "timeout_tls": "tls_timeout",
    "not_http": "not_http_upstream",
    "not_fastcgi": "protocol_mismatch_fastcgi",
    "h2_upstream": "http2_or_grpc_mismatch",
}
_NOT_ALWAYS = ("tls_timeout",)  # an answer to a probe does not speak against it


def tls_fails(fleet: Fleet, remaining: Sequence[Failure]) -> list[Explanation]:
    """The handshake is not answered, refused, or met by a server that speaks no TLS."""
    return _each(fleet, remaining, _tls_cause, of_app=False)


def other_protocol(fleet: Fleet, remaining: Sequence[Failure]) -> list[Explanation]:
    """The other side speaks something else than nginx does."""
    return _each(fleet, remaining, _mismatch, of_app=False)


def no_answer(fleet: Fleet, remaining: Sequence[Failure]) -> list[Explanation]:
    """The app server takes the request, and then closes the connection or lets nginx wait."""
    return _each(fleet, remaining, _silence_cause, of_app=True)


def not_understood(fleet: Fleet, explanations: Sequence[Explanation]) -> list[Explanation]:
    """The same, told by nginx's log, where no probe asked or where it does not always happen."""
    grouped: dict[tuple[str, str, str], list[Symptom]] = {}
    for symptom in symptoms(fleet, explanations):
        cause = _BY_LINE.get(symptom.signature)
        if cause and (cause in _NOT_ALWAYS or not _is_understood(fleet, symptom)):
            grouped.setdefault((cause, *symptom.uses[0].end), []).append(symptom)
    return [_by_lines(fleet, cause, found) for (cause, _host, _key), found in sorted(grouped.items())]


def _is_understood(fleet: Fleet, symptom: Symptom) -> bool:
    return any(probe["outcome"] == "answered" for use in symptom.uses for probe in fleet.probes(use))


def _by_lines(fleet: Fleet, cause: str, found: Sequence[Symptom]) -> Explanation:
    use = found[0].uses[0]
    over = [why_over(fleet, each.host, each.log, each.event) for each in found]
    healed = [Evidence(kind="error_log", text=text, source=use.host) for text in over if all(over)]
    return past(
        cause,
        host=use.host,
        subject=use.endpoint["key"],
        uses=[use for each in found for use in each.uses],
        endpoint=use.endpoint["key"],
        severity="risk" if healed else "intermittent" if cause in _NOT_ALWAYS else "outage",
        evidence=[*healed, *(line_evidence(each.host, each.log, each.event) for each in found)],
    )


_Judge = Callable[[Fleet, Failure, "Behind | None"], "tuple[str, list[Evidence]] | None"]


def _each(fleet: Fleet, remaining: Sequence[Failure], judge: _Judge, *, of_app: bool) -> list[Explanation]:
    grouped: dict[tuple[str, str, str], tuple[list[Failure], list[Evidence]]] = {}
    for failure in remaining:
        other = behind(fleet, failure.uses[0])
        told = judge(fleet, failure, other)
        if told is not None:
            cause, evidence = told
            host = other.place.host if of_app and other else failure.host
            subject = other.subject if of_app and other else failure.endpoint["key"]
            failures, shown = grouped.setdefault((cause, host, subject), ([], []))
            failures.append(failure)
            shown += evidence
    return [
        explain(fleet, cause, failures, host=host, subject=subject, evidence=shown)
        for (cause, host, subject), (failures, shown) in sorted(grouped.items())
    ]


def _tls_cause(_fleet: Fleet, failure: Failure, _other: Behind | None) -> tuple[str, list[Evidence]] | None:
    if failure.endpoint["protocol"] not in _TLS or failure.probe is None or failure.is_at_connect:
        return None
    detail = failure.probe["detail"].lower()
    if failure.probe["speaks"] == "http" or any(word in detail for word in _PLAIN_WORDS):
        return "https_to_plain_backend", []
    if failure.probe["phase"] != "tls":
        return None
    if any(word in detail for word in _UNTRUSTED_WORDS):
        return "tls_verify_failed", []
    return ("tls_timeout" if failure.outcome == "timeout" else "tls_sni_missing_or_alert"), []


def _mismatch(_fleet: Fleet, failure: Failure, other: Behind | None) -> tuple[str, list[Evidence]] | None:
    protocol = failure.endpoint["protocol"]
    if failure.probe is None or failure.is_at_connect or protocol in _TLS:
        return None
    speaks = failure.probe["speaks"] or _spoken_by(other, failure)
    if speaks is None or speaks == protocol:
        return None
    causes = _MISMATCHES.get(protocol, {})
    cause = causes.get(speaks) or causes.get(None, "not_http_upstream")
    return cause, _kind_evidence(other)


def _spoken_by(other: Behind | None, failure: Failure) -> str | None:
    app = other.app if other else None
    return _KINDS.get(app["kind"]) if app and failure.outcome in ("closed", "reset", "mismatch", "timeout") else None


def _kind_evidence(other: Behind | None) -> list[Evidence]:
    if other is None or other.app is None:
        return []
    text = f"{other.app['kind']} of {other.subject} listens there"
    return [Evidence(kind="socket", text=text, source=other.place.host)]


def _silence_cause(fleet: Fleet, failure: Failure, other: Behind | None) -> tuple[str, list[Evidence]] | None:
    if failure.probe is None or failure.is_at_connect or other is None or not other.listeners:
        return None
    shown = units_evidence(fleet, other.place.host, [other.unit] if other.unit else [])
    if failure.outcome == "timeout":
        if any(is_full(each) or each["queued"] for each in other.listeners):
            return "app_pool_saturated", [*queue_evidence(fleet, other.place), *shown]
        return "app_slow", shown
    if failure.outcome in ("closed", "reset"):
        told = cause_of_closing(fleet, other)
        return (told.cause, [*told.evidence, *shown]) if told else None
    return None
