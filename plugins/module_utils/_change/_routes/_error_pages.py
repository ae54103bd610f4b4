# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What clients get when nginx itself answers 502, 503 or 504 on a route: JSON for those that ask for it, else HTML.

An app's own answers pass as they are: nothing is intercepted. A map chooses the page, one location of the server
holds each, and an `error_page` of the route's own leads there, before all others in force, which it brings with it.
Every file with such a server has the map, which nginx allows: taking one site's file away is to break no other site.
"""

from __future__ import annotations

from ansible_collections.sre.bad_gateway.plugins.module_utils._change._errors import RouteError
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._routes._draft import Draft
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._routes._node import Node, new
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._routes._route import Route, repeated
from ansible_collections.sre.bad_gateway.plugins.module_utils._nginx._config import Directive

_PAGE = "$bad_gateway_page"
_HTML, _JSON = "@bad_gateway_html", "@bad_gateway_json"
_ERROR_PAGE = ("error_page", "502", "503", "504", _PAGE)

# JSON where it is asked for and HTML is not asked for before it.
_WANTS_JSON = r"~*^(?:(?!text/html).)*[/+]json"
_JSON_BODY = '{"status":$status,"error":"The service is not available at the moment.","retry_after":%d}'
_HTML_BODY = (
    "<!DOCTYPE html><html lang='en'><meta charset='utf-8'><title>$status</title>"
    "<h1>The service is not available at the moment</h1><p>Please try again in %d seconds.</p></html>"
)


def put_error_pages(route: Route, *, retry_after: int) -> None:
    """Let nginx's own 502, 503 and 504 on this route be pages that its clients understand."""
    draft = route.draft
    for server in {one.levels[1].file: one.levels[1] for one in draft.sharing(route.one)}.values():
        if draft.http_block("map", _PAGE, file=server.file) is None:
            choice = new("map", "$http_accept", _PAGE, block=[new("default", _HTML), new(_WANTS_JSON, _JSON)])
            draft.add_http_block(choice, ahead_of=draft.node(server), file=server.file)
    _put_page(route, _page(_HTML, "text/html", _HTML_BODY, retry_after))
    _put_page(route, _page(_JSON, "application/json", _JSON_BODY, retry_after))
    own = route.own("error_page")
    if any(tuple(node.words) == _ERROR_PAGE for node in own):
        return
    if own:
        draft.insert_ahead(new(*_ERROR_PAGE), own[0])
        return
    last = new(*_ERROR_PAGE)
    route.add(last)
    for node in repeated(route.inherited("error_page")):
        draft.insert_behind(node, last)
        last = node


def take_back_error_pages(route: Route) -> None:
    """Take the route's own `error_page` out, with those that were repeated for its sake."""
    own = route.own("error_page")
    going = [node for node in own if tuple(node.words) == _ERROR_PAGE]
    if not going:
        return
    rest = [node for node in own if node not in going]
    inherited = [node.words for node in route.inherited("error_page")]
    if all(node.goes_along and node.words in inherited for node in rest):
        going += rest
    for node in going:
        route.draft.remove(node)


def sweep_error_pages(draft: Draft) -> None:
    """Take out the pages that no route of their server leads to any more, and the maps of files where none does."""
    users = [
        route
        for route in (Route(draft, one) for one in draft.passes)
        if any(tuple(node.words) == _ERROR_PAGE for node in route.own("error_page"))
    ]
    used = {id(route.server) for route in users}
    servers = {id(one.levels[1]): one.levels[1] for one in draft.passes}
    for server in servers.values():
        for name in (_HTML, _JSON) if id(server) not in used else ():
            for node in _pages(draft, server, name):
                draft.remove(node)
    needing, sites = {route.server.file for route in users}, {server.file for server in servers.values()}
    for file, choice in draft.maps(_PAGE).items():
        # One in a file without sites was put there by hand, for all of them.
        if file not in needing and (file in sites or not users):
            draft.remove_http_block(choice)


def _put_page(route: Route, page: Node) -> None:
    standing = _pages(route.draft, route.server, page.args[0])
    if any(node.shape == page.shape for node in standing):
        return
    for node in standing:
        if node.place is None:
            raise RouteError(f"{route.where}: two of the routes ask for different error pages in one server")
    # A page that goes marks the place of the one that comes.
    depth = route.one.levels.index(route.server) + 1
    outer = route.draft.node((*route.one.levels, route.one.directive)[depth])
    route.draft.insert_ahead(page, standing[0] if standing else outer)
    for node in standing:
        route.draft.remove(node)


def _pages(draft: Draft, server: Directive, name: str) -> list[Node]:
    return [node for node in draft.statements(server, "location") if node.args == [name]]


def _page(name: str, kind: str, body: str, retry_after: int) -> Node:
    # With 200 the status stays the one that led here.
    words = [
        new("default_type", kind),
        new("add_header", "Retry-After", str(retry_after), "always"),
        new("add_header", "Cache-Control", "no-store", "always"),
        new("return", "200", body % retry_after),
    ]
    return new("location", name, block=words)
