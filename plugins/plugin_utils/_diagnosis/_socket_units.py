# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Socket activation: systemd itself listens, as long as the .socket unit is up."""

from __future__ import annotations

from typing import Iterable, Sequence

from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import Unit
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._addresses import Place
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._evidence import (
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
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._supervision import start
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._units import (
    is_active,
    is_looping,
    kind_of,
    trouble_of,
)

_SERVICE_GAVE_UP = "service-start-limit-hit"

#: Results after which starting it again would end alike.
_GIVEN_UP = ("trigger-limit-hit", _SERVICE_GAVE_UP, "start-limit-hit", "resources", "exit-code")


#: How it looks to nginx when systemd takes the connections and what it starts for them dies, and once it has given up.
_UNSERVED = (*NOBODY_THERE, "reset", "closed", "timeout")


def activated_app_fails(fleet: Fleet, remaining: Sequence[Failure]) -> list[Explanation]:
    """A .socket unit listens, or gave up, because the service that it starts when somebody connects dies."""
    grouped: dict[tuple[str, str], tuple[Unit, Unit, list[Hit]]] = {}
    for hit in (Hit(failure, place) for failure in remaining for place in places(fleet, failure)):
        if hit.failure.outcome in _UNSERVED:
            for socket, service in _dying(fleet, hit.place):
                grouped.setdefault((hit.place.host, socket["name"]), (socket, service, []))[2].append(hit)
    return [
        _app_fails(fleet, host, socket, service, hits)
        for (host, _unused), (socket, service, hits) in sorted(grouped.items())
    ]


def socket_unit_failed(fleet: Fleet, remaining: Sequence[Failure]) -> list[Explanation]:
    """A .socket unit owns the listener, and it is not up."""
    grouped: dict[tuple[str, str], list[Hit]] = {}
    for hit in (Hit(failure, place) for failure in remaining for place in places(fleet, failure)):
        if hit.failure.outcome in NOBODY_THERE and not fleet.listeners(hit.place):
            for unit in _owners(fleet, hit.place):
                grouped.setdefault((hit.place.host, unit["name"]), []).append(hit)
    return [_down(fleet, host, name, hits) for (host, name), hits in sorted(grouped.items())]


def _dying(fleet: Fleet, place: Place) -> list[tuple[Unit, Unit]]:
    """The .socket unit of that place and the service that it starts, where that one dies; one pair is enough."""
    units = fleet.observations[place.host]["units"]
    return [
        (socket, service)
        for socket in units
        if socket["name"].endswith(".socket") and _listens_at(socket, place) and _starts_something(socket)
        for service in units
        if socket["name"] in service["triggered_by"] and _dies(fleet, place.host, service)
    ][:1]


def _starts_something(socket: Unit) -> bool:
    """It does, or did until what it starts had died too often."""
    return is_active(socket) or socket["result"] == _SERVICE_GAVE_UP


def _dies(fleet: Fleet, host: str, service: Unit) -> bool:
    return service["active_state"] == "failed" or is_looping(fleet, host, service)


def _owners(fleet: Fleet, place: Place) -> list[Unit]:
    """The .socket units that are to listen there and do not; one is enough."""
    units = fleet.observations[place.host]["units"]
    return [
        unit
        for unit in units
        if unit["name"].endswith(".socket")
        and not is_active(unit)
        and _listens_at(unit, place)
        and _is_wanted(unit, units)
    ][:1]


def _listens_at(unit: Unit, place: Place) -> bool:
    """Tell whether one of its Listen= is that place: "/run/shop.sock (Stream)", "127.0.0.1:8000 (Stream)"."""
    return any(
        place.is_served_by(key)
        for line in unit["raw"].get("Listen", "").splitlines()
        for key in _keys(line.partition(" (")[0])
    )


def _keys(listen: str) -> list[str]:
    if listen.startswith("/"):
        return [f"unix:{listen}"]
    host, _colon, port = listen.rpartition(":")
    return [f"tcp:{host or '[::]'}:{port}"] if port.isdigit() else []


def _is_wanted(unit: Unit, units: Iterable[Unit]) -> bool:
    """A socket that is switched off beside a service that starts by itself is no longer the owner."""
    if unit["unit_file_state"].startswith("enabled") or unit["active_state"] == "failed":
        return True
    services = [each for each in units if unit["name"] in each["triggered_by"]]
    return any(unit["name"] in each["requires"] for each in services) or not any(
        each["unit_file_state"].startswith("enabled") for each in services
    )


def _app_fails(fleet: Fleet, host: str, socket: Unit, service: Unit, hits: list[Hit]) -> Explanation:
    name, trouble = service["name"], trouble_of(fleet, host, service, kind_of(fleet, host, service["name"]))
    mend = trouble.mend or f"Mend what ends {name} (its journal says it), then apply this"
    said = f"{socket['name']} listens, and starts {name} for whoever connects"
    return explain(
        fleet,
        trouble.cause,
        failures_of(hits),
        host=host,
        subject=name,
        evidence=[
            *trouble.evidence,
            Evidence(kind="unit", text=said if is_active(socket) else f"{said}; it gave up", source=host),
            *units_evidence(fleet, host, [name, socket["name"]]),
        ],
        fix=start(fleet, host, (socket["name"],), hits, mend=mend),
        app=(host, name),
    )


def _down(fleet: Fleet, host: str, name: str, hits: list[Hit]) -> Explanation:
    unit = fleet.unit(host, name)
    result = unit["result"] or unit["raw"].get("Result", "") if unit else ""
    services = [each["name"] for each in fleet.observations[host]["units"] if name in each["triggered_by"]]
    reset = f"systemctl reset-failed {' '.join([name, *services])}"
    mend = f"Mend what made {name} give up ({result}); then {reset}, and apply this"
    where = ", ".join((unit["raw"].get("Listen", "") if unit else "").splitlines())
    return explain(
        fleet,
        "socket_unit_failed",
        failures_of(hits),
        host=host,
        subject=name,
        evidence=[
            Evidence(kind="unit", text=f"{name} is to listen on {where}, and is not up", source=host),
            *units_evidence(fleet, host, [name, *services]),
        ],
        fix=start(fleet, host, (name,), hits, mend=mend if result in _GIVEN_UP else ""),
        app=(host, name),
    )
