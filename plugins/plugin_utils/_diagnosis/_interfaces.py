# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The port is right, but the app server listens where nginx does not come: another family, interface or network."""

from __future__ import annotations

from typing import Iterator, Sequence

from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import Listener
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._addresses import (
    Place,
    as_nginx_writes,
    is_loopback,
    is_special_loopback,
    key_of,
)
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._evidence import app_evidence, units_evidence
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._explain import explain
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._failures import (
    Explanation,
    Failure,
    Hit,
    places,
)
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._fleet import Fleet
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._model import Evidence, Fix
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._targets import fix_target, is_proven

#: What nginx meets where nobody listens on its own way to a port.
_OUTCOMES = ("refused", "timeout", "unreachable")


def loopback_family_mismatch(fleet: Fleet, remaining: Sequence[Failure]) -> list[Explanation]:
    """The app server listens on the loopback address of the other IP version."""
    found = []
    for hit in _unserved(fleet, remaining, outcomes=("refused",)):
        others = [each for each in _same_port(fleet, hit.place) if is_loopback(each["address"])]
        if others and all(is_loopback(address) for address in hit.place.addresses) and not _is_special(hit.place):
            found.append(_mismatch(fleet, "loopback_family_mismatch", hit, others))
    return found


def netns_or_interface_mismatch(fleet: Fleet, remaining: Sequence[Failure]) -> list[Explanation]:
    """The app server listens on another interface of its host, or in a network namespace of its own."""
    found = []
    for hit in _unserved(fleet, remaining, outcomes=_OUTCOMES):
        foreign = fleet.foreign_listeners(hit.place)
        others = [each for each in _same_port(fleet, hit.place) if not is_special_loopback(each["address"])]
        if foreign:
            found.append(_in_another_network(fleet, hit, foreign))
        elif others and not _is_special(hit.place):
            found.append(_mismatch(fleet, "netns_or_interface_mismatch", hit, others))
    return found


def _unserved(fleet: Fleet, remaining: Sequence[Failure], *, outcomes: tuple[str, ...]) -> Iterator[Hit]:
    for failure in remaining:
        hits = places(fleet, failure) if failure.outcome in outcomes else []
        if failure.endpoint["transport"] == "tcp" and len(hits) == 1 and not fleet.listeners(hits[0]):
            yield Hit(failure, hits[0])


def _same_port(fleet: Fleet, place: Place) -> list[Listener]:
    """App servers' listeners at that port on other addresses of the host."""
    known = {key for app in fleet.observations[place.host]["app_servers"] for key in [*app["listens"], *app["binds"]]}
    return [
        each
        for each in fleet.observations[place.host]["listeners"]
        if each["transport"] == "tcp"
        and each["port"] == place.port
        and not each["network_namespace"]
        and key_of(each["address"], each["port"]) in known
    ]


def _is_special(place: Place) -> bool:
    """Who writes 127.77.0.1 means that address and no other."""
    return any(is_special_loopback(address) for address in place.addresses)


def _mismatch(fleet: Fleet, cause: str, hit: Hit, others: list[Listener]) -> Explanation:
    """Where nginx can come to the listener it is told to, else it is the app's host that has to open it."""
    failure, place = hit
    local = place.host == failure.host
    owner = next((each["unit"] for each in others if each["unit"]), None)
    evidence = [
        Evidence(
            kind="socket",
            text=f"{each['process'] or 'a process'} listens on {key_of(each['address'], each['port'])},"
            f" nginx asks {', '.join(place.addresses)}: {_reach(place, failure)}",
            source=place.host,
        )
        for each in others
    ]
    return explain(
        fleet,
        cause,
        [failure],
        host=failure.host if local else place.host,
        evidence=[*evidence, *app_evidence(fleet, [hit]), *units_evidence(fleet, place.host, [owner] if owner else [])],
        fix=_address_of(fleet, hit, others) if local else None,
        app=(place.host, owner) if owner else None,
    )


def _reach(place: Place, failure: Failure) -> str:
    return "that is another address" if place.host == failure.host else "from another host that is out of reach"


def _address_of(fleet: Fleet, hit: Hit, others: list[Listener]) -> Fix | None:
    failure, place = hit
    values = sorted({as_nginx_writes(each["address"], each["port"] or 0) for each in others})
    proven = [
        is_proven(fleet, place.host, key_of(each["address"], each["port"]), failure.endpoint["protocol"])
        for each in others
    ]
    key = failure.endpoint["key"]
    if len(values) == 1 and all(proven):
        return fix_target(failure, pass_to=values[0], summary=f"Pass to {values[0]} instead of {key}")
    summary = "Set pass_to of proxy_pass_routes to where the app server listens, if it is the right one"
    return fix_target(failure, pass_to=None, summary=summary, candidates=values)


def _in_another_network(fleet: Fleet, hit: Hit, foreign: list[Listener]) -> Explanation:
    host = hit.place.host
    owners = sorted({each["unit"] for each in foreign if each["unit"]})
    private = [
        name for name in owners if (unit := fleet.unit(host, name)) and unit["raw"].get("PrivateNetwork") == "yes"
    ]
    evidence = [
        Evidence(
            kind="socket",
            text=f"{each['process'] or 'a process'} listens on {key_of(each['address'], each['port'])}"
            f" in another network namespace ({each['network_namespace']})",
            source=host,
        )
        for each in foreign
    ]
    evidence += [Evidence(kind="unit", text=f"{name}: PrivateNetwork=yes", source=host) for name in private]
    return explain(
        fleet,
        "netns_or_interface_mismatch",
        [hit.failure],
        host=host,
        # A container that happens to use the same port inside is nobody's mistake; a unit's own setting is.
        confidence=None if private or fleet.meant_for(hit.place) else "likely",
        evidence=[*evidence, *app_evidence(fleet, [hit]), *units_evidence(fleet, host, owners)],
        app=(host, owners[0]) if owners else None,
    )
