# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fixes that somebody has to decide on: how many workers, who may connect, for how long. None is done unasked."""

from __future__ import annotations

import ipaddress
from typing import Any, Iterable

from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._addresses import is_loopback
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._failures import Failure
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._fleet import Fleet
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._model import Fix


def firewall_fix(fleet: Fleet, host: str, stopped: Iterable[Failure]) -> Fix:
    """Let nginx through the packet filter of `host`: its own, or that of an app server."""
    entries: list[dict[str, Any]] = []
    unsure: dict[str, None] = {}
    for failure in stopped:
        sources = _sources(fleet, failure)
        if host == failure.host:
            entries += _let_out(fleet, failure)
        elif len(sources) == 1:
            entries.append({"port": failure.endpoint["port"], "source": sources[0]})
        else:
            entries.append({"port": failure.endpoint["port"]})
            unsure.update(dict.fromkeys(sources))
    summary = "Accept it before that rule, if nginx is meant to get through"
    return Fix(
        role="upstream_firewall",
        automatic=False,
        summary=f"{summary}; set source of upstream_firewall_allow to nginx's address" if unsure else summary,
        variables={"upstream_firewall_allow": [one for place, one in enumerate(entries) if one not in entries[:place]]},
        candidates=tuple(unsure),
    )


def _let_out(fleet: Fleet, failure: Failure) -> list[dict[str, Any]]:
    """What nginx's host sends, and what it receives of that itself."""
    port, own = failure.endpoint["port"], fleet.observations[failure.host]["host"]["addresses"]
    entries: list[dict[str, Any]] = []
    for address in failure.endpoint["addresses"]:
        local = {"interface": "lo"} if address in own or is_loopback(address) else {}
        entries.append({"port": port, "destination": address, **local})
        entries += [{"port": port, "source": address, **local}] if local else []
    return entries


def _sources(fleet: Fleet, failure: Failure) -> list[str]:
    """Where nginx's host may send from, as the other host sees it."""
    versions = {":" in address for address in failure.endpoint["addresses"]}
    return [
        address
        for address in fleet.observations[failure.host]["host"]["addresses"]
        if (":" in address) in versions and not _stays_near(address)
    ]


def _stays_near(address: str) -> bool:
    parsed = ipaddress.ip_address(address.partition("%")[0])
    return parsed.is_loopback or parsed.is_link_local
