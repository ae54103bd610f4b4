# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What app servers and units show, put into words."""

from __future__ import annotations

from typing import Iterable, Sequence

from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import Unit
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._failures import Failure, Hit, failure_evidence
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._fleet import Fleet, Use
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._model import Evidence


def failures_of(hits: list[Hit]) -> tuple[Failure, ...]:
    return tuple(dict.fromkeys(failure for failure, _unused in hits))


def uses_of(hits: list[Hit]) -> tuple[Use, ...]:
    return tuple(use for failure in failures_of(hits) for use in failure.uses)


def failures_evidence(fleet: Fleet, explained: Sequence[Failure]) -> list[Evidence]:
    return [evidence for failure in explained for evidence in failure_evidence(fleet, failure)]


def units_evidence(fleet: Fleet, host: str, names: Iterable[str]) -> list[Evidence]:
    units = (fleet.unit(host, name) for name in names)
    return [unit_evidence(host, unit) for unit in units if unit is not None]


def unit_evidence(host: str, unit: Unit) -> Evidence:
    facts = [
        f"{unit['active_state']} ({unit['sub_state']})",
        f"result {unit['result']}" + (f", exit status {unit['exit_code']}" if unit["exit_code"] else ""),
        f"at boot: {unit['unit_file_state'] or 'unknown'}",
        f"Restart={unit['restart']}",
    ]
    if unit["load_state"] != "loaded":
        facts.insert(0, unit["load_state"])
    return Evidence(kind="unit", text=f"{unit['name']}: {', '.join(facts)}", source=host)


def app_evidence(fleet: Fleet, hits: list[Hit]) -> list[Evidence]:
    """Where it is written that an app server listens there."""
    texts = {
        (
            place.host,
            f"{app['kind']}{_of(app['unit'])} is set to listen on {', '.join(app['binds'])} ({app['binds_from']})",
        ): None
        for _unused, place in hits
        for app in fleet.meant_for(place)
    }
    return [Evidence(kind="config", text=text, source=host) for host, text in texts]


def _of(unit: str | None) -> str:
    return f" of {unit}" if unit else ""
