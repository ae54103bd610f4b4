# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Nothing listens where an app server should: it does not run, or its socket file is gone."""

from __future__ import annotations

from typing import Iterable, Sequence

from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import AppServer, Unit
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._addresses import Place
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._evidence import (
    app_evidence,
    failures_evidence,
    failures_of,
    units_evidence,
    uses_of,
)
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._failures import (
    NOBODY_THERE,
    Explanation,
    Failure,
    Hit,
    affected,
    places,
    surest,
    worst,
)
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._fleet import Fleet
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._model import Evidence, Finding
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._supervision import choose_unit, restart, start

#: Directories that PrivateTmp= replaces by private ones.
_TEMPORARY = ("/tmp/", "/var/tmp/")  # noqa: S108 - compared with, never written to


def app_not_running(fleet: Fleet, remaining: Sequence[Failure]) -> list[Explanation]:
    """Nothing listens, and a unit that should listen there is not active."""
    grouped: dict[tuple[str, tuple[str, ...]], list[Hit]] = {}
    for hit in _nobody_there(fleet, remaining):
        apps = fleet.meant_for(hit.place)
        if units := _stopped_units(fleet, hit.place.host, apps):
            grouped.setdefault((hit.place.host, units), []).append(hit)
    return [_not_running(fleet, host, units, hits) for (host, units), hits in sorted(grouped.items())]


def maybe_not_running(fleet: Fleet, remaining: Sequence[Failure]) -> list[Explanation]:
    """The same cause, possibly: nobody is known to listen there, but there are stopped app servers, and where they
    listen could not be read."""
    grouped: dict[tuple[str, tuple[str, ...]], list[Hit]] = {}
    for hit in _nobody_there(fleet, remaining):
        apps = [app for app in fleet.observations[hit.place.host]["app_servers"] if not app["binds_known"]]
        if not fleet.meant_for(hit.place) and (units := _inactive(fleet, hit.place.host, apps)):
            grouped.setdefault((hit.failure.endpoint["key"], units), []).append(hit)
    return [_perhaps_not_running(fleet, units, hits) for (_unused, units), hits in sorted(grouped.items())]


def socket_missing(fleet: Fleet, remaining: Sequence[Failure]) -> list[Explanation]:
    """No file at the path, although a running app server listens there, or should by its settings."""
    hits = [
        Hit(failure, place)
        for failure in remaining
        if failure.outcome == "missing"
        for place in places(fleet, failure)
        if _file_is_gone(fleet, place)
    ]
    owned = [(hit, owners[0]) for hit in hits if (owners := _units_at(fleet, hit.place))]
    return [
        _missing_socket(fleet, fleet.unit(hit.place.host, owner), hit)
        for hit, owner in owned
        if not _hidden_by_private_tmp(fleet.unit(hit.place.host, owner), hit.place)
    ]


def _nobody_there(fleet: Fleet, remaining: Sequence[Failure]) -> list[Hit]:
    return [
        Hit(failure, place)
        for failure in remaining
        if failure.outcome in NOBODY_THERE
        for place in places(fleet, failure)
        if not fleet.listeners(place)
    ]


def _stopped_units(fleet: Fleet, host: str, apps: list[AppServer]) -> tuple[str, ...]:
    """The units of these app servers, when none of them runs."""
    if any(app["pids"] or _is_active(fleet.unit(host, app["unit"])) for app in apps):
        return ()
    return _inactive(fleet, host, apps)


def _inactive(fleet: Fleet, host: str, apps: Iterable[AppServer]) -> tuple[str, ...]:
    """Those of the app servers' units that are not active. Of several, those that are to start at boot."""
    units = [unit for unit in (fleet.unit(host, app["unit"]) for app in apps) if unit and not _is_active(unit)]
    enabled = [unit for unit in units if unit["unit_file_state"] == "enabled"]
    return tuple(sorted({unit["name"] for unit in enabled or units}))


def _is_active(unit: Unit | None) -> bool:
    return unit is not None and unit["active_state"] in ("active", "reloading")


def _file_is_gone(fleet: Fleet, place: Place) -> bool:
    file = fleet.socket_file(place)
    if file is not None:
        return not file["exists"]
    return all(listener["file_exists"] is False for listener in fleet.listeners(place))


def _units_at(fleet: Fleet, place: Place) -> list[str | None]:
    """Units of the app servers that listen on that path or are set to; None is an app server without a unit."""
    names = [listener["unit"] for listener in fleet.listeners(place)]
    names += [app["unit"] for app in fleet.meant_for(place)]
    return sorted(names, key=lambda name: name is None)


def _hidden_by_private_tmp(unit: Unit | None, place: Place) -> bool:
    """Tell whether the file may well exist, where only the unit sees it: then a restart would change nothing."""
    private = unit is not None and unit["raw"].get("PrivateTmp") == "yes"
    return private and (place.path or "").startswith(_TEMPORARY)


def _not_running(fleet: Fleet, host: str, units: tuple[str, ...], hits: list[Hit]) -> Explanation:
    explained = failures_of(hits)
    finding = Finding(
        cause="app_not_running",
        host=host,
        subject=" ".join(units),
        severity=worst(explained),
        confidence=surest(explained) if len(units) == 1 else "likely",
        routes=affected(uses_of(hits)),
        endpoint=explained[0].endpoint["key"],
        evidence=(
            *units_evidence(fleet, host, units),
            *app_evidence(fleet, hits),
            *failures_evidence(fleet, explained),
        ),
        fix=start(fleet, host, units, hits),
    )
    return Explanation(finding, explained, app=(host, units[0]))


def _perhaps_not_running(fleet: Fleet, units: tuple[str, ...], hits: list[Hit]) -> Explanation:
    host, explained = hits[0].place.host, failures_of(hits)
    unknown = [
        Evidence(kind="unit", text=f"{unit}: where it listens could not be read from its settings", source=host)
        for unit in units
    ]
    finding = Finding(
        cause="app_not_running",
        host=host,
        subject=explained[0].endpoint["key"],
        severity=worst(explained),
        confidence="possible",
        routes=affected(uses_of(hits)),
        endpoint=explained[0].endpoint["key"],
        evidence=(*units_evidence(fleet, host, units), *unknown, *failures_evidence(fleet, explained)),
        fix=choose_unit(fleet, units, hits, reason="If one of the candidates serves this endpoint"),
    )
    return Explanation(finding, explained)


def _missing_socket(fleet: Fleet, unit: Unit | None, hit: Hit) -> Explanation:
    failure, place = hit
    listens = bool(fleet.listeners(place))
    state = "still listens on the socket, but its file was removed" if listens else "runs, but its socket is not there"
    owner = unit["name"] if unit else "an app server without a unit"
    finding = Finding(
        cause="socket_missing",
        host=place.host,
        subject=failure.endpoint["key"],
        severity=failure.severity,
        confidence=failure.confidence,
        routes=affected(failure.uses),
        endpoint=failure.endpoint["key"],
        evidence=(
            Evidence(kind="socket", text=f"{place.path}: no such file; {owner} {state}", source=place.host),
            *units_evidence(fleet, place.host, [unit["name"]] if unit else []),
            *app_evidence(fleet, [hit]),
            *failures_evidence(fleet, [failure]),
        ),
        fix=restart(fleet, place.host, unit, [hit]) if unit else None,
    )
    return Explanation(finding, (failure,), app=(place.host, unit["name"]) if unit else None)
