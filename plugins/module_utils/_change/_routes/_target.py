# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where a route leads: the address in its `*_pass`, or in the `server` of the upstream block that it goes through."""

from __future__ import annotations

import re

from ansible_collections.sre.bad_gateway.plugins.module_utils._change._errors import RouteError
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._routes._node import Node
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._routes._route import Route
from ansible_collections.sre.bad_gateway.plugins.module_utils._nginx._address import (
    Address,
    AddressError,
    parse_address,
    redacted,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._nginx._lexer import shown

# What a path in an address can hold; a colon would end it.
_PLAIN_PATH = re.compile(r"/[^\s:;{}\"'\\$#\x00-\x20\x7f]+")
_SERVER_PORT = 80  # of a `server` in an upstream block, whatever the protocol


def required_address(text: str, *, option: str) -> Address:
    """An address that somebody asks for; RouteError when it is none."""
    try:
        address = parse_address(text)
    except AddressError as error:
        raise RouteError(
            f"{option} {text!r}: {error}; write 127.0.0.1:8000, [::1]:8000, app1:8000 or unix:/run/x.sock"
        ) from error
    if address.path is not None and not _PLAIN_PATH.fullmatch(address.path):
        raise RouteError(f"{option} {text!r}: the path has to be absolute, without blanks, colons, quotes or $")
    return address


def group_of(route: Route) -> Node | None:
    """The upstream block that the route goes through."""
    target = route.target
    return route.draft.http_block("upstream", target.address) if target.decided else None


def servers_of(group: Node) -> list[Node]:
    return [child for child in group.children if child.name == "server"]


def server_address(server: Node) -> Address | None:
    try:
        return parse_address(server.args[0] if server.args else "", default_port=_SERVER_PORT)
    except AddressError:
        return None


def pass_address(route: Route) -> Address:
    """The address in the `*_pass` itself; RouteError, with the reason, when there is none."""
    target = route.target
    if not target.decided:
        raise RouteError(
            f"{route.where}: {route.prefix}_pass {redacted(route.node.args[0])} holds variables, so the address is not "
            "all here; correct the variable's value, or write the address out"
        )
    try:
        return parse_address(target.address, default_port=target.default_port)
    except AddressError as error:
        written = redacted(route.node.args[0])
        raise RouteError(f"{route.where}: {written} leads nowhere that can be read: {error}") from error


def pass_to(route: Route, wanted: str, *, endpoint: str | None) -> None:
    """Let the route lead to the address `wanted`; `endpoint` says which of its addresses gives way."""
    key = required_address(wanted, option="pass_to").key
    group = group_of(route)
    if group is not None:
        _correct_server(route, group, wanted, key=key, endpoint=endpoint)
        return
    leads = pass_address(route).key
    if leads == key:
        return
    if endpoint not in (None, leads):
        raise RouteError(f"{route.where}: the route leads to {leads}, not to {endpoint}")
    point_at(route, wanted)


def point_at(route: Route, address: str) -> None:
    """Another address or upstream name in the `*_pass`; scheme, URI part and credentials' absence stay."""
    target = route.target
    route.draft.set_words(
        route.node, route.node.name, target.scheme + target.marked(address) + target.uri, *route.node.args[1:]
    )


def _correct_server(route: Route, group: Node, wanted: str, *, key: str, endpoint: str | None) -> None:
    addresses = [(server, server_address(server)) for server in servers_of(group)]
    known = [(server, address.key) for server, address in addresses if address is not None]
    keys = [one for _server, one in known]
    place = group.place
    where = f"upstream {group.args[0]}" + ("" if place is None else shown(f" ({place.file}:{place.line})"))
    if endpoint is None and len(keys) != 1:
        raise RouteError(f"{where} has {len(keys)} servers, say with endpoint which one is wrong: {', '.join(keys)}")
    wrong = [server for server, one in known if one == (endpoint or keys[0]) != key]
    if not wrong and key not in keys:
        raise RouteError(f"{where} has no server {endpoint}, only {', '.join(keys)}")
    for server in wrong:
        route.draft.set_words(server, "server", wanted, *server.args[1:])
