# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""nginx's configuration, and where it leads, each by itself as facts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._endpoints import look, merged, resolve
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._nginxes import Nginx, read_nginxes
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._shared import Notes
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._surroundings import look_around

if TYPE_CHECKING:
    from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import NginxInstance

_SECONDS = 5.0  # for all look-ups of names, and for all probes


def nginx_config_facts(config: str | None) -> dict[str, Any]:
    """Return every nginx, or the one with that main file, with the settings of a route beside the route."""
    notes = Notes()
    instances = [_with_settings(nginx.shown) for nginx in _nginxes(config, notes=notes)]
    return {"nginx": instances, "nginx_missed": notes.entries}


def upstream_facts(config: str | None, *, probe: str) -> dict[str, Any]:
    """Return every upstream block, and every endpoint with the addresses and the answers that nginx gets there."""
    notes = Notes()
    nginxes = _nginxes(config, notes=notes)
    resolve(nginxes, seconds=_SECONDS, notes=notes)
    endpoints = merged(nginxes)
    probes = look(nginxes, [], mode=probe, seconds=_SECONDS, notes=notes).probes if nginxes else []
    shown = [
        {
            **endpoint,
            "probes": [
                {name: value for name, value in one.items() if name not in ("endpoint", "protocol")}
                for one in probes
                if (one["endpoint"], one["protocol"]) == (endpoint["key"], endpoint["protocol"])
            ],
        }
        for endpoint in endpoints
    ]
    blocks = [{**block, "nginx": nginx.shown["id"]} for nginx in nginxes for block in nginx.shown["upstreams"]]
    return {"upstreams": {"blocks": blocks, "endpoints": shown}, "upstreams_missed": notes.entries}


def _nginxes(config: str | None, *, notes: Notes) -> list[Nginx]:
    around = look_around(notes=notes)
    return read_nginxes(table=around.table, units=around.units, config=config, notes=notes)


def _with_settings(shown: NginxInstance) -> dict[str, Any]:
    routes = [{**route, "settings": shown["route_settings"][route["settings"]]} for route in shown["routes"]]
    facts: dict[str, Any] = {**shown, "routes": routes}
    del facts["route_settings"]
    return facts
