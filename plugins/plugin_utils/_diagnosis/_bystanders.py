# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who else starts app servers on a host, or passes requests to them, out of sight of systemd and of nginx's routes."""

from __future__ import annotations

import re

from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._fleet import Fleet
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._model import Evidence
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._units import is_active

_STARTS = "what it starts, systemd does not know"
_PASSES = "app servers that no route names may be there for it"

_BYSTANDERS = (
    (re.compile(r"supervisord?\.service"), f"{_STARTS}; supervisorctl status tells what runs"),
    (re.compile(r"pm2(?:-.+)?\.service"), f"{_STARTS}; pm2 list, as its user, tells what runs"),
    (re.compile(r"docker\.(?:service|socket)"), f"{_STARTS}; docker ps --all tells what runs"),
    (re.compile(r"(?:haproxy|envoy|traefik|caddy|varnish|apache2|httpd|lighttpd)(?:@.+)?\.service"), _PASSES),
)


def bystanders(fleet: Fleet, host: str) -> dict[str, Evidence]:
    """Those that run on a host, by their names, and why they matter."""
    return {**_units(fleet, host), **_hidden_routes(fleet, host)}


def _hidden_routes(fleet: Fleet, host: str) -> dict[str, Evidence]:
    """Routes of which only nginx knows where they lead."""
    return {
        route["id"]: Evidence(
            kind="config",
            text=f"where {route['id']} leads, a variable decides: {_PASSES}",
            source=f"{each}:{route['file']}:{route['line']}",
        )
        for each, instance in fleet.instances()
        for route in instance["routes"]
        if each == host and route["variables"] and not route["endpoints"]
    }


def _units(fleet: Fleet, host: str) -> dict[str, Evidence]:
    return {
        unit["name"]: Evidence(kind="unit", text=f"{unit['name']} is active: {why}", source=host)
        for unit in fleet.observations[host]["units"]
        for pattern, why in _BYSTANDERS
        if pattern.fullmatch(unit["name"]) and is_active(unit)
    }
