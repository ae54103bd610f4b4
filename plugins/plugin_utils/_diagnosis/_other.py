# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What no other rule explains is said as it was seen."""

from __future__ import annotations

from typing import Sequence

from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._evidence import app_evidence, units_evidence
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._failures import (
    Explanation,
    Failure,
    Hit,
    affected,
    failure_evidence,
    places,
)
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._fleet import Fleet
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._model import Evidence, Finding


def endpoint_not_answering(fleet: Fleet, remaining: Sequence[Failure]) -> list[Explanation]:
    """An endpoint fails in a way that has no name yet, or on a host that nobody looked at."""
    return [
        Explanation(
            Finding(
                cause="endpoint_not_answering",
                host=failure.host,
                subject=failure.endpoint["key"],
                severity=failure.severity,
                confidence="possible",
                routes=affected(failure.uses),
                endpoint=failure.endpoint["key"],
                evidence=(*failure_evidence(fleet, failure), *_far_side(fleet, failure)),
                fix=None,
            ),
            (failure,),
        )
        for failure in remaining
    ]


def _far_side(fleet: Fleet, failure: Failure) -> list[Evidence]:
    """What is known about the other end."""
    hits = [Hit(failure, place) for place in places(fleet, failure)]
    if not hits:
        return _unknown_owner(fleet, failure)
    known = app_evidence(fleet, hits)
    for _unused, place in hits:
        owners = {each["unit"] for each in (*fleet.listeners(place), *fleet.meant_for(place)) if each["unit"]}
        known += units_evidence(fleet, place.host, sorted(owner for owner in owners if owner))
        known += [
            Evidence(
                kind="socket",
                text=f"{listener['process'] or 'a process that could not be seen'} listens there",
                source=place.host,
            )
            for listener in fleet.listeners(place)
        ]
    return known


def _unknown_owner(fleet: Fleet, failure: Failure) -> list[Evidence]:
    record = fleet.unseen_host(failure.endpoint)
    if record is not None:
        text = f"{record.host} could not be looked at ({record.status}: {record.reason}), so its side is not known"
        return [Evidence(kind="network", text=text, source=record.host)]
    others = f"; not looked at: {', '.join(fleet.unseen)}" if fleet.unseen else ""
    text = f"no host that was looked at has the address of {failure.endpoint['key']}{others}"
    return [Evidence(kind="network", text=text, source=failure.host)]
