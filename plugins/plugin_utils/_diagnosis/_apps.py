# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Nothing listens where an app server should: it does not run, or keeps dying."""

from __future__ import annotations

from typing import Iterable, Sequence

from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import AppServer, Unit
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._addresses import Place
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._evidence import (
    app_evidence,
    failures_of,
    units_evidence,
)
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._explain import explain
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._failures import (
    NOBODY_THERE,
    Explanation,
    Failure,
    Hit,
    places,
)
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._fleet import Fleet
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._model import Evidence
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._supervision import choose_unit, start
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._units import (
    Trouble,
    ended_well,
    is_active,
    is_looping,
    trouble_of,
)

#: Causes under which somebody may listen where the unit should.
_BESIDE_A_LISTENER = ("app_port_conflict", "app_crash_loop", "gunicorn_boot_error")


def app_down(fleet: Fleet, remaining: Sequence[Failure]) -> list[Explanation]:
    """A unit that should listen there does not serve: it is stopped, or something keeps it from starting."""
    grouped: dict[tuple[str, tuple[str, ...]], list[Hit]] = {}
    for hit in (Hit(failure, place) for failure in remaining for place in places(fleet, failure)):
        if units := _units_down(fleet, hit):
            grouped.setdefault((hit.place.host, units), []).append(hit)
    return [_down(fleet, host, units, hits) for (host, units), hits in sorted(grouped.items())]


def app_maybe_down(fleet: Fleet, remaining: Sequence[Failure]) -> list[Explanation]:
    """The same, possibly: nobody is known to listen there, but there are app servers that do not run, and where they
    listen could not be read."""
    grouped: dict[tuple[str, tuple[str, ...]], list[Hit]] = {}
    for hit in (Hit(failure, place) for failure in remaining for place in places(fleet, failure)):
        apps = [app for app in fleet.observations[hit.place.host]["app_servers"] if not app["binds_known"]]
        units = _not_serving(fleet, hit.place.host, apps)
        if units and not fleet.meant_for(hit.place) and _is_empty(fleet, hit):
            grouped.setdefault((hit.failure.endpoint["key"], units), []).append(hit)
    return [_perhaps_down(fleet, units, hits) for (_unused, units), hits in sorted(grouped.items())]


def _is_empty(fleet: Fleet, hit: Hit) -> bool:
    return hit.failure.outcome in NOBODY_THERE and not fleet.listeners(hit.place)


def _units_down(fleet: Fleet, hit: Hit) -> tuple[str, ...]:
    """The units that are to serve that place, when none of them does."""
    host, apps = hit.place.host, fleet.meant_for(hit.place)
    if any(_runs(fleet, host, app) for app in apps):
        return ()
    units = _not_serving(fleet, host, apps)
    if _is_empty(fleet, hit):
        return units
    # What answers there may be the unit itself, about to die again, or whatever took its port.
    return tuple(name for name in units if _cause(fleet, host, name) in _BESIDE_A_LISTENER)


def _runs(fleet: Fleet, host: str, app: AppServer) -> bool:
    unit = fleet.unit(host, app["unit"])
    if unit is None:
        return bool(app["pids"])
    return is_active(unit) and not is_looping(fleet, host, unit)


def _not_serving(fleet: Fleet, host: str, apps: Iterable[AppServer]) -> tuple[str, ...]:
    """Those of the app servers' units that do not run. Of several, those that are to start at boot."""
    units = [
        unit
        for unit in (fleet.unit(host, app["unit"]) for app in apps if not _runs(fleet, host, app))
        if unit is not None
    ]
    enabled = [unit for unit in units if unit["unit_file_state"] == "enabled"]
    return tuple(sorted({unit["name"] for unit in enabled or units}))


def _cause(fleet: Fleet, host: str, name: str) -> str:
    unit = fleet.unit(host, name)
    return trouble_of(fleet, host, unit, _kind(fleet, host, name)).cause if unit else ""


def _kind(fleet: Fleet, host: str, name: str) -> str:
    return next((app["kind"] for app in fleet.observations[host]["app_servers"] if app["unit"] == name), "")


def _down(fleet: Fleet, host: str, units: tuple[str, ...], hits: list[Hit]) -> Explanation:
    explained, trouble = failures_of(hits), _trouble(fleet, host, units, hits)
    return explain(
        fleet,
        trouble.cause,
        explained,
        host=host,
        subject=" ".join(units),
        confidence=None if len(units) == 1 else "likely",
        evidence=(*trouble.evidence, *units_evidence(fleet, host, units), *app_evidence(fleet, hits)),
        fix=trouble.first or start(fleet, host, units, hits, mend=trouble.mend),
        app=(host, units[0]),
    )


def _trouble(fleet: Fleet, host: str, units: tuple[str, ...], hits: list[Hit]) -> Trouble:
    unit = fleet.unit(host, units[0]) if len(units) == 1 else None
    if unit is None:
        return Trouble("app_not_running")
    trouble = trouble_of(fleet, host, unit, _kind(fleet, host, unit["name"]))
    if ended_well(unit) or trouble.cause not in ("app_not_running", "app_port_conflict"):
        return trouble
    stale = [hit.place for hit in hits if hit.failure.outcome == "refused" and _is_stale(fleet, hit.place)]
    return _left_behind(host, unit, stale, trouble) if stale else trouble


def _left_behind(host: str, unit: Unit, stale: list[Place], trouble: Trouble) -> Trouble:
    """The dead process left its socket file. Most app servers replace it when they start; some cannot bind for it."""
    files = [
        Evidence(kind="socket", text=f"{place.path}: a socket file on which no process listens", source=host)
        for place in stale
    ]
    blocked = trouble.cause == "app_port_conflict"
    paths = ", ".join(sorted({str(place.path) for place in stale}))
    return Trouble(
        "socket_stale",
        (*files, *trouble.evidence),
        f"{unit['name']} cannot bind for the stale file: remove {paths}, then apply this" if blocked else "",
    )


def _is_stale(fleet: Fleet, place: Place) -> bool:
    file = fleet.socket_file(place)
    return file is not None and file["exists"] and file["is_socket"] and not file["listening"]


def _perhaps_down(fleet: Fleet, units: tuple[str, ...], hits: list[Hit]) -> Explanation:
    host, explained = hits[0].place.host, failures_of(hits)
    unknown = [
        Evidence(kind="unit", text=f"{unit}: where it listens could not be read from its settings", source=host)
        for unit in units
    ]
    trouble = _trouble(fleet, host, units, hits)
    reason = "If one of the candidates serves this endpoint"
    return explain(
        fleet,
        trouble.cause,
        explained,
        host=host,
        confidence="possible" if trouble.cause == "app_not_running" else "likely",
        evidence=(*trouble.evidence, *units_evidence(fleet, host, units), *unknown),
        fix=start(fleet, host, units, hits, mend=trouble.mend)
        if trouble.mend
        else choose_unit(fleet, units, hits, reason=reason),
    )
