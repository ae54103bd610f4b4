# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An upstream block between a route and its address: brought in, changed, taken out again."""

from __future__ import annotations

import re
from dataclasses import replace

from ansible_collections.sre.bad_gateway.plugins.module_utils._change._errors import RouteError
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._routes._behaviour import leave_out, write_out
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._routes._group import (
    WantedServer,
    WantedUpstream,
    apply_to_group,
    required_server,
    take_back_from_group,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._routes._keepalive import (
    let_connections_end,
    let_connections_live,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._routes._node import Node, new
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._routes._route import Route
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._routes._target import (
    group_of,
    pass_address,
    point_at,
    server_address,
    servers_of,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._nginx._address import Target
from ansible_collections.sre.bad_gateway.plugins.module_utils._nginx._lexer import shown

# A name that every other program takes for one too: it may end up in a Host header.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def put_upstream(route: Route, wanted: WantedUpstream) -> None:
    """Let the route go through an upstream block as it is asked for."""
    group = group_of(route)
    if group is None:
        group = _bring_in(route, wanted)
    elif not _is_named(group, wanted):
        raise RouteError(f"{route.where}: the route goes through upstream {group.args[0]}, not {wanted.name}")
    apply_to_group(route.draft, group, wanted)
    if wanted.keepalive:
        let_connections_live(route)


def take_back_upstream(route: Route, wanted: WantedUpstream, *, address: str | None) -> None:
    """With a name the block goes, and the route leads to its address again; without one only what is named goes."""
    group = group_of(route)
    if group is None:
        return
    if not _is_named(group, wanted):
        raise RouteError(f"{route.where}: the route goes through upstream {group.args[0]}, not {wanted.name}")
    if wanted.keepalive or wanted.name is not None:
        let_connections_end(route)
    if wanted.name is None:
        take_back_from_group(route.draft, group, wanted)
        return
    point_at(route, _address_of(route, group, address))
    leave_out(route)
    route.draft.leave_group(route.one, group)


def _is_named(group: Node, wanted: WantedUpstream) -> bool:
    return wanted.name is None or wanted.name.lower() == group.args[0].lower()


def _bring_in(route: Route, wanted: WantedUpstream) -> Node:
    pass_address(route)  # has to be one
    target = route.target
    if target.variables:
        raise RouteError(
            f"{route.where}: {route.node.args[0]} holds variables, so nginx looks its host up for every request; "
            "an upstream block would have it looked up at the start"
        )
    name = wanted.name
    if name is None:
        raise RouteError(f"{route.where}: the route goes through no upstream block; name the one to bring in")
    servers = wanted.servers if wanted.servers is not None else [_as_server(target)]
    group = route.draft.http_block("upstream", name)
    if group is None:
        group = _new_group(route, name, replace(wanted, servers=servers))
    elif {_key(server) for server in servers_of(group)} != {required_server(one.address) for one in servers}:
        place = group.place
        raise RouteError(
            f"upstream {name}: the name is taken"
            + ("" if place is None else shown(f" by {place.file}:{place.line}"))
            + f", with the servers {', '.join(server.args[0] for server in servers_of(group))}"
        )
    write_out(route, target)
    point_at(route, name)
    route.draft.join_group(route.one, group)
    return group


def _new_group(route: Route, name: str, wanted: WantedUpstream) -> Node:
    if not _NAME.fullmatch(name):
        raise RouteError(f"upstream {name!r}: a name has letters, digits, dots, hyphens and underscores only")
    if name.lower() in route.draft.hosts:
        raise RouteError(f"upstream {name}: routes lead to a host of that name, they would go through the block too")
    group = new("upstream", name, block=[])
    apply_to_group(route.draft, group, wanted)
    route.draft.add_http_block(group, ahead_of=route.draft.node(route.server))
    return group


def _as_server(target: Target) -> WantedServer:
    """In an upstream block the port that is left out is 80, whatever the scheme."""
    without_port = ":" not in target.address or target.address.endswith("]")
    if without_port and target.default_port != 80:
        return WantedServer(f"{target.address}:{target.default_port}", with_port=True)
    return WantedServer(target.address)


def _address_of(route: Route, group: Node, address: str | None) -> str:
    servers = servers_of(group)
    if address is not None:
        return address
    if len(servers) != 1:
        raise RouteError(
            f"upstream {group.args[0]} has {len(servers)} servers, say with pass_to which one the route shall lead to: "
            + ", ".join(server.args[0] for server in servers)
        )
    written = servers[0].args[0]
    found = server_address(servers[0])
    default = route.target.default_port
    if found is None or found.port is None:
        return written
    if servers[0].goes_along:
        return written[: -len(f":{found.port}")]
    with_port = written.endswith(f":{found.port}")
    return written if with_port or found.port == default else f"{written}:{found.port}"


def _key(server: Node) -> str | None:
    address = server_address(server)
    return None if address is None else address.key
