# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is not broken yet: app servers that do not come back by themselves."""

from __future__ import annotations

from typing import Sequence

from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import AppServer, Unit
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._addresses import Place, place_of
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._evidence import unit_evidence
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._failures import Explanation, affected
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._fleet import Fleet, Use
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._model import Evidence, Finding
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._supervision import REVIVING, supervise


def advice(fleet: Fleet, explanations: Sequence[Explanation]) -> list[Finding]:
    """What is not broken yet: app servers that routes depend on and that do not come back by themselves.

    An app server that is in a finding already is left out: that finding's fix supervises and enables it, too.
    """
    told = {(each.finding.host, each.finding.subject) for each in explanations}
    told |= {
        each.app for each in explanations if each.app and each.finding.fix and each.finding.fix.role == "supervision"
    }
    findings: list[Finding] = []
    for (host, name), hits in sorted(_dependencies(fleet, explanations).items()):
        unit = fleet.unit(host, name)
        if unit is not None and (host, name) not in told:
            findings += _advice_about(fleet, host, unit, hits)
    return findings + _without_unit(fleet)


def _dependencies(fleet: Fleet, explanations: Sequence[Explanation]) -> dict[tuple[str, str], list[tuple[Use, Place]]]:
    """The units that routes depend on now, or will once the findings are fixed."""
    found: dict[tuple[str, str], list[tuple[Use, Place]]] = {}
    for use in fleet.uses:
        for place in fleet.places(use):
            app = fleet.app_behind(place)
            if app is not None and app["unit"]:
                found.setdefault((place.host, app["unit"]), []).append((use, place))
    for each in explanations:
        if each.app is not None:
            hits = [(use, place_of(use.endpoint, each.app[0])) for failure in each.failures for use in failure.uses]
            found.setdefault(each.app, []).extend(hits)
    return found


def _advice_about(fleet: Fleet, host: str, unit: Unit, hits: list[tuple[Use, Place]]) -> list[Finding]:
    causes = {
        "app_not_supervised": _is_service(unit) and not unit["triggered_by"] and unit["restart"] not in REVIVING,
        "app_not_enabled": unit["unit_file_state"] == "disabled" and not _is_pulled_in(fleet, host, unit),
    }
    return [
        Finding(
            cause=cause,
            host=host,
            subject=unit["name"],
            severity="risk",
            confidence="certain",
            routes=affected(use for use, _unused in hits),
            endpoint=hits[0][0].endpoint["key"],
            evidence=(unit_evidence(host, unit),),
            fix=supervise(fleet, host, unit, hits),
        )
        for cause, applies in causes.items()
        if applies
    ]


def _is_service(unit: Unit) -> bool:
    """Tell whether it is a unit that has Restart= at all."""
    return unit["name"].endswith(".service")


def _is_pulled_in(fleet: Fleet, host: str, unit: Unit) -> bool:
    """Tell whether something else starts it at boot: its socket, or a unit that wants it."""
    others = fleet.observations[host]["units"]
    wanted = any(
        unit["name"] in other["wants"] + other["requires"] and other["unit_file_state"] == "enabled" for other in others
    )
    return wanted or bool(unit["triggered_by"])


def _without_unit(fleet: Fleet) -> list[Finding]:
    """App servers that systemd does not know at all: started by hand, they end with the session or the machine."""
    found: dict[tuple[str, tuple[int, ...]], list[tuple[Use, AppServer]]] = {}
    for use in fleet.uses:
        for place in fleet.places(use):
            app = fleet.app_behind(place)
            if app is not None and _is_by_hand(fleet, place, app):
                found.setdefault((place.host, tuple(app["pids"])), []).append((use, app))
    return [_by_hand(host, hits) for (host, _unused), hits in sorted(found.items())]


def _is_by_hand(fleet: Fleet, place: Place, app: AppServer) -> bool:
    """Tell whether nobody but a login session owns the process. Where no systemd is, and in the scope of a container
    or below a user's own manager, somebody else sees to it."""
    if app["unit"] or not app["pids"] or not fleet.observations[place.host]["host"]["systemd"]:
        return False
    return all(each["unit"] is None or _is_session(each["unit"]) for each in fleet.listeners(place))


def _is_session(unit: str) -> bool:
    return unit.startswith("session-") and unit.endswith(".scope")


def _by_hand(host: str, hits: list[tuple[Use, AppServer]]) -> Finding:
    use, app = hits[0]
    text = f"{app['kind']} (pid {min(app['pids'])}) runs outside of any service of systemd"
    return Finding(
        cause="app_not_supervised",
        host=host,
        subject=min(app["listens"]),
        severity="risk",
        confidence="certain",
        routes=affected(use for use, _unused in hits),
        endpoint=use.endpoint["key"],
        evidence=(Evidence(kind="unit", text=text, source=host),),
        fix=None,
    )
