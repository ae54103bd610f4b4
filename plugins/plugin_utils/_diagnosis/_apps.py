# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Nothing listens where an app server should: it does not run, or keeps dying."""

from __future__ import annotations

import re
from typing import Iterable, Iterator, Sequence

from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import AppServer, Unit
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._addresses import Place
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._bystanders import bystanders
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
    is_giving_up,
    is_looping,
    kind_of,
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


def app_named_down(fleet: Fleet, remaining: Sequence[Failure]) -> list[Explanation]:
    """Where it listens could not be read, but its command or its environment holds the port, or the path."""
    grouped: dict[tuple[str, tuple[str, ...]], list[Hit]] = {}
    for hit, units in _unknown_down(fleet, remaining):
        if naming := tuple(name for name in units if _names(fleet.unit(hit.place.host, name), hit.place)):
            grouped.setdefault((hit.failure.endpoint["key"], naming), []).append(hit)
    return [_named_down(fleet, units, hits) for (_unused, units), hits in sorted(grouped.items())]


def app_maybe_down(fleet: Fleet, remaining: Sequence[Failure]) -> list[Explanation]:
    """The same, possibly: nobody is known to listen there, but there are app servers that do not run, and where they
    listen could not be read."""
    grouped: dict[tuple[str, tuple[str, ...]], list[Hit]] = {}
    for hit, units in _unknown_down(fleet, remaining):
        grouped.setdefault((hit.failure.endpoint["key"], units), []).append(hit)
    return [_perhaps_down(fleet, units, hits) for (_unused, units), hits in sorted(grouped.items())]


def _unknown_down(fleet: Fleet, remaining: Sequence[Failure]) -> Iterator[tuple[Hit, tuple[str, ...]]]:
    """Where nobody listens, nor is known to be meant to; with the units that do not run, of which one does not know."""
    for hit in (Hit(failure, place) for failure in remaining for place in places(fleet, failure)):
        apps = [app for app in fleet.observations[hit.place.host]["app_servers"] if not app["binds_known"]]
        units = _not_serving(fleet, hit.place.host, apps)
        if units and not fleet.meant_for(hit.place) and _is_empty(fleet, hit):
            yield hit, units


def _names(unit: Unit | None, place: Place) -> bool:
    """Tell whether a unit's command or environment holds the port or the path."""
    words = [*unit["exec_start"], *unit["environment"].values()] if unit else []
    wanted = re.compile(rf"(?<!\d){place.port}(?!\d)" if place.path is None else re.escape(place.path))
    return any(wanted.search(word) for word in words)


def _is_empty(fleet: Fleet, hit: Hit) -> bool:
    return hit.failure.outcome in NOBODY_THERE and not fleet.listeners(hit.place)


def _units_down(fleet: Fleet, hit: Hit) -> tuple[str, ...]:
    """The units that are to serve that place, when none of them does."""
    host, apps = hit.place.host, fleet.meant_for(hit.place)
    if hit.failure.outcome == "denied" or any(_runs(fleet, host, app) for app in apps):
        return ()  # whoever listens there: who is not let in has another trouble
    units = _not_serving(fleet, host, apps)
    if _is_empty(fleet, hit):
        return units
    # What answers there may be the unit itself, about to die again, or whatever took its port.
    return tuple(name for name in units if _cause(fleet, host, name) in _BESIDE_A_LISTENER)


def _runs(fleet: Fleet, host: str, app: AppServer) -> bool:
    unit = fleet.unit(host, app["unit"])
    if unit is None:
        return bool(app["pids"])
    # What an init script starts may end without systemd minding: the script itself had ended well.
    is_hollow = unit["sub_state"] == "exited" and not app["pids"]
    is_ending = is_looping(fleet, host, unit) or (not app["listens"] and is_giving_up(fleet, host, unit))
    return is_active(unit) and not is_hollow and not is_ending


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
    return trouble_of(fleet, host, unit, kind_of(fleet, host, name)).cause if unit else ""


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
    trouble = trouble_of(fleet, host, unit, kind_of(fleet, host, unit["name"]))
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


def _named_down(fleet: Fleet, units: tuple[str, ...], hits: list[Hit]) -> Explanation:
    host, trouble = hits[0].place.host, _trouble(fleet, hits[0].place.host, units, hits)
    told = [
        Evidence(kind="unit", text=f"{unit}: its command or its environment names this address", source=host)
        for unit in units
    ]
    return explain(
        fleet,
        trouble.cause,
        failures_of(hits),
        host=host,
        subject=" ".join(units),
        confidence="likely",
        evidence=(*trouble.evidence, *units_evidence(fleet, host, units), *told),
        fix=start(fleet, host, units, hits, mend=trouble.mend),
        app=(host, units[0]),
    )


def _perhaps_down(fleet: Fleet, units: tuple[str, ...], hits: list[Hit]) -> Explanation:
    host, explained = hits[0].place.host, failures_of(hits)
    unknown = [
        Evidence(kind="unit", text=f"{unit}: where it listens could not be read from its settings", source=host)
        for unit in units
    ]
    trouble = _trouble(fleet, host, units, hits)
    is_guess = trouble.cause == "app_not_running" or kind_of(fleet, host, units[0]) == "other"
    reason = "If one of the candidates serves this endpoint"
    return explain(
        fleet,
        trouble.cause,
        explained,
        host=host,
        confidence="possible" if is_guess else "likely",
        evidence=(
            *trouble.evidence,
            *units_evidence(fleet, host, units),
            *unknown,
            *bystanders(fleet, host).values(),
        ),
        fix=start(fleet, host, units, hits, mend=trouble.mend)
        if trouble.mend
        else choose_unit(fleet, units, hits, reason=reason),
    )
