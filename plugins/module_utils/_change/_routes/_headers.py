# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Headers of the requests that nginx sends on.

A level that sets one header inherits none: so the first header of a level brings the inherited ones with it, and
the last one that goes takes them along. FastCGI, uwsgi and SCGI carry headers as parameters.
"""

from __future__ import annotations

import re
from typing import Iterable, Mapping

from ansible_collections.sre.bad_gateway.plugins.module_utils._change._errors import RouteError
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._routes._node import Node, new
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._routes._route import Route, repeated

_NAME = re.compile(r"[A-Za-z0-9_-]+")


def header_directive(prefix: str) -> str:
    return f"{prefix}_set_header" if prefix in ("proxy", "grpc") else f"{prefix}_param"


def headers_in_force(route: Route) -> dict[str, str]:
    """By name in lower case; for the protocols without headers, by parameter."""
    found = route.in_force(header_directive(route.prefix))
    return {_key(node): node.args[1] for node in found if len(node.args) > 1}


def set_headers(route: Route, headers: Mapping[str, str], *, along: bool = False) -> None:
    """Send these headers with the given values, and all that was sent before."""
    directive = header_directive(route.prefix)
    own = route.own(directive)
    inherited = route.inherited(directive)
    in_force = {_key(node): node for node in own or inherited}
    wanted = {name: _written(route.prefix, name, value) for name, value in headers.items()}
    missing: list[Node] = []
    for node in wanted.values():
        standing = in_force.get(_key(node))
        if standing is not None and standing.args[1:2] == node.args[1:2]:
            continue
        if standing is not None and own:
            route.draft.set_words(standing, *standing.words[:2], node.args[1], *standing.words[3:])
        else:
            node.along = along
            missing.append(node)
    if missing and not own:
        replaced = {_key(node) for node in missing}
        missing += repeated([node for node in inherited if _key(node) not in replaced])
    for node in missing:
        route.add(node, behind=lambda one: one.name == directive)


def drop_headers(route: Route, names: Iterable[str], *, along: bool = False) -> None:
    """Take headers of the route's own level out, or only those that went along with another setting.

    With the last of them go those that were repeated for its sake.
    """
    directive = header_directive(route.prefix)
    keys = {_key(_written(route.prefix, name, "")) for name in names}
    own = route.own(directive)
    going = [node for node in own if _key(node) in keys and (node.goes_along or not along)]
    if not going:
        return
    rest = [node for node in own if node not in going]
    inherited = [node.words for node in route.inherited(directive)]
    if all(node.goes_along and node.words in inherited for node in rest):
        going += rest
    for node in going:
        route.draft.remove(node)


def _written(prefix: str, name: str, value: str) -> Node:
    if not _NAME.fullmatch(name):
        raise RouteError(f"header {name!r}: a header's name has letters, digits, hyphens and underscores only")
    if prefix not in ("proxy", "grpc"):
        name = f"HTTP_{name.upper().replace('-', '_')}"
    return new(header_directive(prefix), name, value)


def _key(node: Node) -> str:
    return node.args[0].lower()
