# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One entry of the list of routes: which route, and how it shall be."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Iterator, Mapping, Sequence

from ansible_collections.sre.bad_gateway.plugins.module_utils._change._errors import RouteError
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._routes._error_pages import (
    put_error_pages,
    take_back_error_pages,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._routes._group import WantedServer, WantedUpstream
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._routes._headers import drop_headers, set_headers
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._routes._route import Route
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._routes._selector import Selector
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._routes._settings import (
    Setting,
    arguments,
    buffers,
    http_version,
    next_upstream,
    raw,
    timeouts,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._routes._target import pass_to, required_address
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._routes._upstream import (
    put_upstream,
    take_back_upstream,
)

_SELECTORS = ("server_name", "listen", "location", "file", "line")


@dataclass(frozen=True)
class Entry:
    """None and empty: not named, so left as it is."""

    selector: Selector
    absent: bool = False  # take back what is named
    allow_shared: bool = False
    pass_to: str | None = None
    endpoint: str | None = None
    upstream: WantedUpstream | None = None
    timeouts: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str | None] = field(default_factory=dict)
    http_version: str | None = None
    next_upstream: Sequence[str] = ()
    buffer_size: str | None = None
    retry_after: int | None = None
    health_check: str | None = None
    directives: Mapping[str, object] = field(default_factory=dict)

    @property
    def names_statement(self) -> bool:
        """Whether it was chosen by where it stands, not by one of the servers that it serves."""
        return self.selector.line is not None


def entry_of(params: Mapping[str, Any]) -> Entry:
    """An entry as the module's argument spec lets it through."""
    given = {name: value for name, value in params.items() if value is not None}
    selector = Selector(**{name: given.pop(name) for name in _SELECTORS if name in given})
    absent = given.pop("state", "present") == "absent"
    pages = given.pop("error_pages", None)
    upstream = given.pop("upstream", None)
    headers = {name: None if value is None else str(value) for name, value in given.pop("headers", {}).items()}
    times = {name: value for name, value in given.pop("timeouts", {}).items() if value is not None}
    entry = Entry(
        selector=selector,
        absent=absent,
        headers=headers,
        timeouts=times,
        upstream=None if upstream is None else _upstream(upstream),
        retry_after=None if pages is None else int(pages["retry_after"]),
        **given,
    )
    _require_sense(entry)
    return entry


def apply_entry(entry: Entry, route: Route) -> None:
    """Change the draft so that the route is as the entry says."""
    if entry.absent:
        _take_back(entry, route)
        return
    if entry.pass_to is not None:
        pass_to(route, entry.pass_to, endpoint=entry.endpoint)
    drop_headers(route, [name for name, value in entry.headers.items() if value is None])
    set_headers(route, {name: value for name, value in entry.headers.items() if value is not None})
    for name, args in _settings(entry, route):
        if args is None:
            route.take_back(name)
        else:
            route.put(name, *args)
    if entry.upstream is not None:
        put_upstream(route, entry.upstream)
    if entry.health_check is not None and not route.draft.plus:
        route.draft.warnings.append(
            f"{route.where}: no health_check, only nginx Plus has it; this nginx gives servers up by max_fails and "
            "fail_timeout alone"
        )
    if entry.retry_after is not None:
        put_error_pages(route, retry_after=entry.retry_after)


def _take_back(entry: Entry, route: Route) -> None:
    if entry.retry_after is not None:
        take_back_error_pages(route)
    if entry.upstream is not None:
        take_back_upstream(route, entry.upstream, address=entry.pass_to)
    for name, _args in _settings(entry, route):
        route.take_back(name)
    drop_headers(route, entry.headers)


def _settings(entry: Entry, route: Route) -> Iterator[Setting]:
    yield from timeouts(route, entry.timeouts)
    if entry.http_version is not None:
        yield from http_version(route, entry.http_version)
    if entry.next_upstream:
        yield from next_upstream(route, entry.next_upstream)
    if entry.buffer_size is not None:
        yield from buffers(route, entry.buffer_size)
    if entry.health_check is not None and route.draft.plus:
        yield "health_check", arguments("health_check", entry.health_check)
    yield from raw(entry.directives)


def _upstream(params: Mapping[str, Any]) -> WantedUpstream:
    given = {name: value for name, value in params.items() if value is not None}
    servers = given.pop("servers", None)
    if servers is not None:
        servers = [WantedServer(address=one["address"], parameters=one.get("parameters") or {}) for one in servers]
    return WantedUpstream(servers=servers, **given)


def _require_sense(entry: Entry) -> None:
    wishes = (
        entry.pass_to is not None,
        entry.upstream,
        entry.timeouts,
        entry.headers,
        entry.http_version,
        entry.next_upstream,
        entry.buffer_size,
        entry.retry_after is not None,
        entry.health_check,
        entry.directives,
    )
    if not any(wishes):
        raise RouteError(f"{entry.selector}: nothing is asked for (pass_to, upstream, timeouts, headers ...)")
    if entry.pass_to is not None:
        required_address(entry.pass_to, option="pass_to")
    if entry.absent and entry.pass_to is not None and (entry.upstream is None or entry.upstream.name is None):
        raise RouteError(f"{entry.selector}: an address cannot be taken back, name the one that shall be there")
