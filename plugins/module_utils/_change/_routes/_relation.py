# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Keep-alive is a relation: nginx has to close an idle connection before the app server does.

Else it sooner or later sends a request on a connection that is just being closed, and a POST gets a 502 for it.
"""

from __future__ import annotations

from ansible_collections.sre.bad_gateway.plugins.module_utils._change._app_servers import AppServers
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._errors import RouteError
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._routes._group import WantedUpstream
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._routes._keepalive import lets_connections_live
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._routes._node import Node
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._routes._route import Route
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._routes._target import (
    group_of,
    server_address,
    servers_of,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._keepalive import (
    KEPT_BY_DEFAULT_SINCE,
    TIMEOUT_SINCE,
    keeps_for,
    races,
    safe_timeout,
    span,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import AppServer

_SAY = "say with app_idle_timeout what it is if that is wrong"


def decides_on_idle(route: Route, wanted: WantedUpstream) -> bool:
    """Tell, before the change, whether it has to do with how long connections are kept."""
    named = (wanted.keepalive, wanted.keepalive_timeout, wanted.keepalive_requests, wanted.app_idle_timeout)
    return any(value is not None for value in named) or group_of(route) is None


def require_relation(route: Route, wanted: WantedUpstream, apps: AppServers) -> None:
    """After the change: RouteError, with the reason and what would do, when it brings 502s about or is of no use."""
    group = group_of(route)
    if group is None or not lets_connections_live(route):
        return
    kept = keeps_for([child.words for child in group.children], version=route.draft.version)
    if kept is None:
        return
    for server in servers_of(group):
        idle, who = _idle_timeout(server, wanted, apps)
        where = f"upstream {group.args[0]}, server {server.args[0]}"
        if idle is None:
            route.draft.warnings.append(
                f"{where}: nginx keeps idle connections {span(kept)}, and after how long the app server closes them is "
                "not known here; it has to be later. Say it with app_idle_timeout"
            )
        elif idle == 0 and wanted.keepalive:
            raise RouteError(f"{where}: keepalive would keep nothing: {who} closes each connection; {_SAY}")
        elif races(idle=idle, kept=kept):
            raise RouteError(
                f"{where}: nginx would keep idle connections {span(kept)}, but {who} closes them after {idle:g} s, and "
                f"requests that meet there get a 502. {_way_out(idle, route)}; {_SAY}"
            )


def _idle_timeout(server: Node, wanted: WantedUpstream, apps: AppServers) -> tuple[float | None, str]:
    """After how many seconds the app server closes an idle connection, and what it is called."""
    if wanted.app_idle_timeout is not None:
        return wanted.app_idle_timeout, "the app server"
    address = server_address(server)
    app = None if address is None else apps.behind(address)
    if app is None:
        return None, ""
    value = app["settings"].get("idle_timeout")
    return (float(value) if isinstance(value, (int, float)) else None), _called(app)


def _called(app: AppServer) -> str:
    settings, unit = app["settings"], app["unit"]
    workers = settings.get("worker_class")
    words = [str(settings.get("server") or app["kind"])]
    words += [f"with {workers} workers"] if workers else []
    return " ".join([*words, f"({unit})"] if unit else words)


def _way_out(idle: float, route: Route) -> str:
    version = route.draft.version
    safe = safe_timeout(idle) if not version or version >= TIMEOUT_SINCE else None
    none = "keepalive: 0" if version >= KEPT_BY_DEFAULT_SINCE else "no keepalive"
    ways = [f"keepalive_timeout: {safe}"] if safe else []
    return f"Raise the app server's idle time-out, or ask for {' or '.join([*ways, none])}"
