# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fixes of settings: how long connections live, how large buffers are, who may connect."""

from __future__ import annotations

import ipaddress
import re
from typing import Any, Collection, Iterable, Sequence

from ansible_collections.sre.bad_gateway.plugins.module_utils._keepalive import TIMEOUT_SINCE, safe_timeout
from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import AppServer, Upstream
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._addresses import is_loopback
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._failures import Failure
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._fleet import Fleet, Use
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._keepalive import (
    closes_before_nginx,
    idle_timeout,
    upstream_of,
    version_of,
)
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._model import Fix
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._symptoms import settings_of

_BUFFER = 16  # KiB, for the headers of a response
_SIZE = re.compile(r"(\d+)([kKmM]?)")
_KIB = {"": 1 / 1024, "k": 1, "m": 1024}


def keepalive_fix(uses: Sequence[Use], app: AppServer | None) -> Fix:
    """Let nginx close idle connections before the app server does, unasked where its settings tell when that is."""
    idle = idle_timeout(app) or 0.0
    new = version_of(uses[0].instance["version"]) >= TIMEOUT_SINCE
    safe = safe_timeout(idle) if new else None
    racing = [upstream_of(use) for use in uses if closes_before_nginx(use, app)]
    places = _distinct([_place(group) for group in racing if group])
    if safe and app and app["settings_known"]:
        return _fix(
            [{**place, "upstream": {"keepalive_timeout": safe}} for place in places],
            f"Let nginx close idle connections after {safe}, before the app server does",
        )
    return _fix(
        places,
        "Raise the app server's idle time-out above nginx's, or set upstream.keepalive_timeout of"
        " upstream_keepalive_routes below it"
        if safe
        else "Raise the app server's idle time-out above nginx's, or take upstream.keepalive back",
        candidates=[safe] if safe else ["state: absent"],
    )


def max_fails_fix(upstream: Upstream) -> Fix:
    """When a server is given up depends on how many failures are normal for it."""
    return _fix(
        [_place(upstream)],
        "Set upstream.server_parameters of upstream_keepalive_routes",
        candidates=["max_fails: 3, fail_timeout: 10s", "max_fails: 0"],
    )


def buffers_fix(uses: Iterable[Use], servers: Collection[str | None]) -> Fix:
    """Room for the headers of the routes that the log's lines name by their servers."""
    named = [use for use in uses if set(servers) & set(use.route["server_names"])] or list(uses)
    present = max(_kib(settings_of(use, "buffer_size")) for use in named)
    places = [{"file": use.route["file"], "line": use.route["line"]} for use in named]
    if present < _BUFFER:
        size = f"{_BUFFER}k"
        return _fix([{**place, "buffer_size": size} for place in places], f"Let headers have up to {size}")
    return _fix(
        places,
        f"Set buffer_size of upstream_keepalive_routes above {present:g}k, or let the app send less",
        candidates=[f"{2 * present:g}k"],
    )


def _fix(entries: Sequence[dict[str, Any]], summary: str, *, candidates: Sequence[str] = ()) -> Fix:
    """Unasked where there is nothing to choose from."""
    return Fix(
        role="upstream_keepalive",
        automatic=not candidates,
        summary=summary,
        variables={"upstream_keepalive_routes": _distinct(entries)},
        candidates=tuple(candidates),
    )


def _distinct(entries: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [one for place, one in enumerate(entries) if one not in entries[:place]]


def _place(upstream: Upstream) -> dict[str, Any]:
    """Where the role finds a block: by one of its servers."""
    server = upstream["servers"][0]
    return {"file": server["file"], "line": server["line"]}


def _kib(setting: list[list[str]]) -> float:
    match = _SIZE.fullmatch(setting[0][0]) if setting and setting[0] else None
    return int(match[1]) * _KIB[match[2].lower()] if match else 0.0


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
        variables={"upstream_firewall_allow": _distinct(entries)},
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
