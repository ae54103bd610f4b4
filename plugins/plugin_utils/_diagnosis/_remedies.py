# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fixes that somebody has to decide on: how many workers, who may connect, for how long. None is done unasked."""

from __future__ import annotations

import ipaddress
from typing import Any, Iterable, Mapping

from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import AppServer
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._addresses import is_loopback
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._failures import Failure
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._fleet import Fleet, Use
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._model import Fix

#: The shortest time that nginx is told to keep an idle connection, in seconds.
_SHORTEST = 1


def upstream_fix(name: str, settings: Mapping[str, Any], summary: str) -> Fix:
    """Set something of one upstream block."""
    return Fix(
        role="upstream_keepalive",
        automatic=False,
        summary=summary,
        variables={"upstream_keepalive_upstreams": [{"name": name, **settings}]},
    )


def keepalive_fix(use: Use, app: AppServer | None) -> Fix:
    """Let nginx close an idle connection before the app server does; where that leaves nothing, keep none."""
    idle = int((app["settings"].get("idle_timeout") if app else None) or 0)
    name = use.route["upstream"] or ""
    if idle <= _SHORTEST:
        return upstream_fix(name, {"keepalive": 0}, "Raise the app server's idle time-out, or let nginx keep none")
    wanted = max(_SHORTEST, idle - 1)
    summary = f"Raise the app server's idle time-out, or let nginx close after {wanted} s"
    return upstream_fix(name, {"keepalive_timeout": f"{wanted}s"}, summary)


def buffers_fix(use: Use) -> Fix:
    """Room for the headers of one route."""
    route = use.route
    entry = {"file": route["file"], "line": route["line"], "buffer_size": "16k"}
    return Fix(
        role="upstream_keepalive",
        automatic=False,
        summary="Set buffer_size of upstream_keepalive_routes; what depends on it follows",
        variables={"upstream_keepalive_routes": [entry]},
    )


def workers_fix(app: AppServer | None, summary: str) -> Fix | None:
    """Another number of workers; nothing where no unit would be told."""
    if app is None or app["unit"] is None or app["kind"] == "other":
        return None
    if app["kind"] == "gunicorn":
        entry = {"unit": app["unit"], "workers": "auto"}
        return Fix(
            role="gunicorn_workers",
            automatic=False,
            summary=f"{summary}: workers auto of gunicorn_workers_units takes (2 x CPU) + 1 as far as memory allows",
            variables={"gunicorn_workers_units": [entry]},
        )
    return Fix(
        role="app_capacity",
        automatic=False,
        summary=f"{summary}: set workers of app_capacity_units",
        variables={"app_capacity_units": [{"unit": app["unit"], "kind": app["kind"]}]},
    )


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
