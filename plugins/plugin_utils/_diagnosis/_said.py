# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Answers of 502 and 503 that are the app's own: nginx only passes them on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Iterator, Sequence

from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import AccessLogEvent
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._failures import Explanation
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._fleet import Fleet, Use
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._model import Confidence, Evidence, Severity
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._symptoms import behind, is_recent, past

_STATUSES = (502, 503)


@dataclass
class _Answers:
    """All that shows that one app server gives one status."""

    uses: list[Use] = field(default_factory=list)
    logged: list[Evidence] = field(default_factory=list)
    probed: list[Evidence] = field(default_factory=list)

    @property
    def severity(self) -> Severity:
        return "outage" if self.probed else "intermittent"

    @property
    def confidence(self) -> Confidence:
        """A probe asks for the root of the site, which nobody else may ever do."""
        return "certain" if self.logged else "likely"


def app_said_so(fleet: Fleet, explanations: Sequence[Explanation]) -> list[Explanation]:
    """The app itself answers 502 or 503, and nginx only passes it on."""
    dead = {use.end for each in explanations for failure in each.failures for use in failure.uses}
    found: dict[tuple[int, str, str], _Answers] = {}
    for host, path, event in _access_events(fleet):
        uses = fleet.uses_meant(host, event["endpoint"])
        if uses and uses[0].end not in dead:
            answers = found.setdefault((event["status"], *_whose(fleet, uses[0])), _Answers())
            answers.uses += uses
            answers.logged += [_access_evidence(host, path, event), *_unlogged(fleet, host)]
    for use in fleet.uses:
        for probe in fleet.probes(use) if use.end not in dead and use.route["location"] in ("/", "") else ():
            if probe["status"] in _STATUSES:
                answers = found.setdefault((probe["status"], *_whose(fleet, use)), _Answers())
                answers.uses.append(use)
                text = f"{use.endpoint['key']} answers {probe['detail']} to nginx's own question"
                answers.probed.append(Evidence(kind="probe", text=text, source=use.host))
    return [
        past(
            f"app_said_{status}",
            host=host,
            subject=subject,
            uses=answers.uses,
            endpoint=answers.uses[0].endpoint["key"],
            severity=answers.severity,
            confidence=answers.confidence,
            evidence=[*answers.probed, *answers.logged],
        )
        for (status, host, subject), answers in sorted(found.items())
    ]


def _whose(fleet: Fleet, use: Use) -> tuple[str, str]:
    """Host and subject of the finding: the app server's, or nginx's own when that host was not looked at."""
    other = behind(fleet, use)
    return (other.place.host, other.subject) if other else use.end


def _access_events(fleet: Fleet) -> Iterator[tuple[str, str, AccessLogEvent]]:
    """Requests whose last upstream gave the status that the client got, and about which nginx did not complain."""
    for host, observation in fleet.observations.items():
        for log in observation["access_logs"]:
            for event in log["events"]:
                last = (event["upstream_status"] or "").replace(" : ", ", ").split(", ")[-1]
                if (
                    event["status"] in _STATUSES
                    and last == str(event["status"])
                    and is_recent(fleet, host, event["last"])
                    and not _failed_in_nginx(fleet, host, event)
                ):
                    yield host, log["path"], event


def _access_evidence(host: str, path: str, event: AccessLogEvent) -> Evidence:
    text = (
        f"{event['count']} requests got {event['status']} from {event['upstream']} itself "
        f"($upstream_status {event['upstream_status']}), first {event['first']}, last {event['last']}: "
        f"{event['sample']}"
    )
    return Evidence(kind="access_log", text=text, source=f"{host}:{path}")


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
