# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Packet filters between nginx and an app server: rules seen on either host, or silence where somebody listens."""

from __future__ import annotations

from typing import Iterator, Sequence

from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import FilterRule
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._evidence import failures_of
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._explain import explain
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._failures import (
    Explanation,
    Failure,
    Hit,
    places,
)
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._fleet import Fleet
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._model import Evidence
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._remedies import firewall_fix

#: Which outcomes each verdict of a rule makes.
_REJECTED = ("refused", "unreachable", "denied", "reset")
_DROPPED = ("timeout", "denied")


def firewall_reject(fleet: Fleet, remaining: Sequence[Failure]) -> list[Explanation]:
    """A rule answers in the app server's stead."""
    return _by_rule(fleet, remaining, cause="firewall_reject", verdict="reject", outcomes=_REJECTED)


def firewall_drop(fleet: Fleet, remaining: Sequence[Failure]) -> list[Explanation]:
    """A rule lets nginx's connections vanish."""
    return _by_rule(fleet, remaining, cause="firewall_drop", verdict="drop", outcomes=_DROPPED)


def firewall_between(fleet: Fleet, remaining: Sequence[Failure]) -> list[Explanation]:
    """Nothing answers though an app server listens and neither host filters: something in between may."""
    text = "{} listens there, and no rule that was seen on either host drops this: look at what lies in between"
    return [
        explain(
            fleet,
            "firewall_drop",
            [failure],
            host=failure.host,
            confidence="possible",
            evidence=[
                Evidence(kind="network", text=text.format(each["process"] or "a process"), source=place.host)
                for place in places(fleet, failure)
                for each in fleet.listeners(place)
            ],
        )
        for failure in remaining
        if failure.is_unanswered_connect
        and any(place.host != failure.host and fleet.listeners(place) for place in places(fleet, failure))
    ]


def _by_rule(
    fleet: Fleet, remaining: Sequence[Failure], *, cause: str, verdict: str, outcomes: tuple[str, ...]
) -> list[Explanation]:
    grouped: dict[tuple[str, str, str], list[tuple[Hit, FilterRule]]] = {}
    for failure in remaining:
        for hit, host, rule in _rules_for(fleet, failure, verdict=verdict, outcomes=outcomes):
            grouped.setdefault((host, rule["where"], rule["rule"]), []).append((hit, rule))
    told: set[Failure] = set()
    found = []
    for (host, _where, _rule), hits in sorted(grouped.items(), key=lambda item: (not _is_certain(item[1]), item[0])):
        new = [(hit, rule) for hit, rule in hits if hit.failure not in told]
        told |= {hit.failure for hit, _unused in new}
        if new:
            found.append(_filtered(fleet, cause, host, new))
    return found


def _is_certain(hits: Sequence[tuple[Hit, FilterRule]]) -> bool:
    return any(rule["certain"] for _unused, rule in hits)


def _rules_for(
    fleet: Fleet, failure: Failure, *, verdict: str, outcomes: tuple[str, ...]
) -> Iterator[tuple[Hit, str, FilterRule]]:
    """Rules on either host that hit what nginx sends to an endpoint which fails as they would make it fail."""
    if failure.endpoint["transport"] != "tcp" or failure.outcome not in outcomes or not failure.is_at_connect:
        return
    hits = [Hit(failure, place) for place in places(fleet, failure)]
    for hit in hits:
        for rule in fleet.observations[hit.place.host]["network"]["filters"]:
            if rule["verdict"] == verdict and any(_is_hit(hit, key) for key in rule["endpoints"]):
                yield hit, hit.place.host, rule
    if all(hit.place.host != failure.host for hit in hits):
        for rule in fleet.observations[failure.host]["network"]["filters"]:
            if rule["verdict"] == verdict and failure.endpoint["key"] in rule["endpoints"]:
                yield (hits or [Hit(failure, failure.uses[0].place_here)])[0], failure.host, rule


def _is_hit(hit: Hit, key: str) -> bool:
    return key == hit.failure.endpoint["key"] or hit.place.is_served_by(key)


def _filtered(fleet: Fleet, cause: str, host: str, hits: list[tuple[Hit, FilterRule]]) -> Explanation:
    rule = hits[0][1]
    counted = "" if rule["packets"] is None else f", {rule['packets']} packets so far"
    whom = f", for {rule['user']} alone" if rule["user"] else ""
    text = f"{rule['tool']}, {rule['where']}: {rule['rule']}{whom}{counted}"
    stopped = failures_of([hit for hit, _unused in hits])
    return explain(
        fleet,
        cause,
        stopped,
        host=host,
        confidence=None if _is_certain(hits) else "likely",
        evidence=[
            Evidence(kind="network", text=text, source=host),
            *(
                Evidence(kind="socket", text=f"{each['process'] or 'a process'} listens there", source=hit.place.host)
                for hit, _unused in hits
                for each in fleet.listeners(hit.place)
            ),
        ],
        fix=firewall_fix(fleet, host, stopped),
    )
