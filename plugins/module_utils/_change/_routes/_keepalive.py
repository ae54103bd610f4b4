# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a route has to say so that its upstream block's connections can be kept at all.

Before nginx 1.29.7 that is HTTP/1.1 and no `Connection: close`, both; since then it is so by default.
"""

from __future__ import annotations

from ansible_collections.sre.bad_gateway.plugins.module_utils._change._errors import RouteError
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._routes._headers import (
    drop_headers,
    headers_in_force,
    set_headers,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._routes._route import Route
from ansible_collections.sre.bad_gateway.plugins.module_utils._keepalive import KEPT_BY_DEFAULT_SINCE

_VERSION = "proxy_http_version"


def let_connections_live(route: Route) -> None:
    """Set what is missing. A `Connection` header that serves websockets stays."""
    if route.prefix in ("uwsgi", "scgi"):
        raise RouteError(f"{route.where}: connections cannot be kept over {route.prefix}, its protocol ends each")
    if route.prefix == "fastcgi":
        route.put("fastcgi_keep_conn", "on", along=True)
    if route.prefix != "proxy":
        return
    if _connection(route) == "close":
        set_headers(route, {"Connection": ""}, along=True)
    if _version(route) == "1.0":
        route.put(_VERSION, "1.1", along=True)


def lets_connections_live(route: Route) -> bool:
    """Tell whether the route speaks HTTP so that its connections can be kept."""
    return route.prefix == "grpc" or (
        route.prefix == "proxy" and _connection(route) != "close" and _version(route) != "1.0"
    )


def let_connections_end(route: Route) -> None:
    """Take out what `let_connections_live` put in."""
    route.take_back("fastcgi_keep_conn", along=True)
    route.take_back(_VERSION, along=True)
    drop_headers(route, ["Connection"], along=True)


def _connection(route: Route) -> str:
    return headers_in_force(route).get("connection", "" if _by_default(route) else "close").lower()


def _version(route: Route) -> str:
    return route.value(_VERSION) or ("1.1" if _by_default(route) else "1.0")


def _by_default(route: Route) -> bool:
    return route.draft.version >= KEPT_BY_DEFAULT_SINCE
