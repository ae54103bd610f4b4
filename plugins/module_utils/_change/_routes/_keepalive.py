# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a route has to say so that its upstream block's connections can be kept at all.

Before nginx 1.29.7 that is HTTP/1.1 and no `Connection: close`, both; since then it is so by default.
"""

from __future__ import annotations

from ansible_collections.sre.bad_gateway.plugins.module_utils._change._errors import RouteError
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._routes._group import KEEPALIVE_BY_DEFAULT
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._routes._headers import (
    drop_headers,
    header_directive,
    headers_in_force,
    set_headers,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._routes._node import Node, new
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._routes._route import Route

_VERSION = "proxy_http_version"


def let_connections_live(route: Route) -> None:
    """Set what is missing. A `Connection` header that serves websockets stays."""
    if route.prefix in ("uwsgi", "scgi"):
        raise RouteError(f"{route.where}: connections cannot be kept over {route.prefix}, its protocol ends each")
    if route.prefix == "fastcgi":
        route.put("fastcgi_keep_conn", "on")
    if route.prefix != "proxy":
        return
    by_default = route.draft.version >= KEEPALIVE_BY_DEFAULT
    connection = headers_in_force(route).get("connection", "" if by_default else "close")
    if connection.lower() == "close":
        set_headers(route, {"Connection": ""})
    version = route.value(_VERSION) or ("1.1" if by_default else "1.0")
    if version != "1.0":
        return
    if route.own(_VERSION):
        route.put(_VERSION, "1.1")
    else:
        route.add(new(_VERSION, "1.1"), behind=_is_header)


def let_connections_end(route: Route) -> None:
    """Take out what `let_connections_live` put in; that it did so is seen by where the statements stand."""
    if route.prefix == "fastcgi":
        for node in route.own("fastcgi_keep_conn"):
            route.draft.remove(node)
    if route.prefix != "proxy":
        return
    versions = route.own(_VERSION)
    ours = [node for node in versions if node.args == ["1.1"] and _follows_header(node)]
    empty = any(node.args == ["Connection", ""] for node in route.own(header_directive("proxy")))
    for node in ours:
        route.draft.remove(node)
    if empty and (ours or not versions):
        drop_headers(route, ["Connection"])


def _is_header(node: Node) -> bool:
    return node.name == header_directive("proxy")


def _follows_header(node: Node) -> bool:
    standing = [one for one in node.home if not one.removed]
    index = standing.index(node)
    return index > 0 and _is_header(standing[index - 1]) and not any(_is_header(one) for one in standing[index:])
