# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where routes lead: the addresses of endpoints as each nginx resolves them, and a probe of every one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from ansible_collections.sre.bad_gateway.plugins.module_utils._observe import _probe
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._manners import Manner, default_manner, manners
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._nginxes import Nginx, viewpoint
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._probe_child import Viewpoint
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._shared import Notes

if TYPE_CHECKING:
    from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import Endpoint, EndpointKey

_NOBODY = Viewpoint(instance="", pid=None, credentials=None)


def resolve(nginxes: Sequence[Nginx], *, seconds: float, notes: Notes) -> None:
    """Fill in the addresses of the endpoints that are written as names."""
    views = [
        _probe.View(
            viewpoint(nginx),
            hosts=sorted({one["host"] for one in nginx.endpoints if one["host"] and not one["addresses"]}),
        )
        for nginx in nginxes
    ]
    resolved = _probe.resolve_names(views, seconds=seconds, notes=notes)
    for endpoint, names in ((one, names) for nginx, names in zip(nginxes, resolved) for one in nginx.endpoints):
        if endpoint["host"] in names:
            found = names[endpoint["host"]]
            endpoint["addresses"], endpoint["resolve_error"] = found.addresses, found.error


def _wanted(endpoints: Iterable[Endpoint], manners: Mapping[tuple[EndpointKey, str], Manner]) -> list[_probe.Wanted]:
    return [
        _probe.Wanted.of(one, manner=manners.get((one["key"], one["protocol"])) or default_manner(one["protocol"]))
        for one in endpoints
    ]


def look(
    nginxes: Sequence[Nginx], unrouted: Sequence[Endpoint], *, mode: str, seconds: float, notes: Notes
) -> _probe.Looked:
    """Every nginx probes its own endpoints and all that no route uses; without nginx we look as ourselves."""
    if mode == "none":
        notes.miss("probes", "switched off by the option probe")
        return _probe.Looked()
    views = [
        _probe.View(viewpoint(nginx), _wanted([*nginx.endpoints, *unrouted], manners(nginx.shown))) for nginx in nginxes
    ]
    views = views or [_probe.View(_NOBODY, _wanted(unrouted, {}))]
    return _probe.look(views, mode=mode, seconds=seconds, notes=notes)


def merged(nginxes: Iterable[Nginx]) -> list[Endpoint]:
    """Each endpoint once per protocol, with every place that names it."""
    found: dict[tuple[EndpointKey, str], Endpoint] = {}
    for nginx in nginxes:
        for endpoint in nginx.endpoints:
            known = found.setdefault((endpoint["key"], endpoint["protocol"]), endpoint)
            known["written_at"] += [place for place in endpoint["written_at"] if place not in known["written_at"]]
    return list(found.values())
