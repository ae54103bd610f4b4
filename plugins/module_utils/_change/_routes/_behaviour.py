# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What nginx derives from the address in a `*_pass`, written out, so that a name in its place changes nothing.

These are the Host header, the default of proxy_redirect, and the name that TLS asks for and checks. What is written
out is what the address gave; with that address back in place it says nothing new, so it goes again.
"""

from __future__ import annotations

from typing import Iterator

from ansible_collections.sre.bad_gateway.plugins.module_utils._change._routes._headers import (
    drop_headers,
    headers_in_force,
    set_headers,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._routes._route import Route
from ansible_collections.sre.bad_gateway.plugins.module_utils._nginx._address import Target

_WITH_HOST = ("proxy", "grpc")
_WITH_TLS = ("https://", "grpcs://", "suwsgi://")


def write_out(route: Route, target: Target) -> None:
    """Before the route is pointed at a name: keep what `target`, its present one, gives."""
    if route.prefix in _WITH_HOST and "host" not in headers_in_force(route):
        set_headers(route, {"Host": _host_header(target)}, along=True)
        for name, args in _redirect(route, target):
            if not route.in_force(name):
                route.put(name, *args, along=True)
    for name, args in _tls_name(route, target):
        if not route.in_force(name) and _cares_for_tls_names(route):
            route.put(name, *args, along=True)


def leave_out(route: Route) -> None:
    """After the route was pointed at an address again: take out what was written out."""
    drop_headers(route, ["Host"], along=True)
    for name in ("proxy_redirect", f"{route.prefix}_ssl_name"):
        route.take_back(name, along=True)


def _host_header(target: Target) -> str:
    """As nginx makes $proxy_host."""
    if target.address[:5].lower() == "unix:":
        return "localhost"
    host, port = _host_and_port(target)
    return host if port in ("", str(target.default_port)) else f"{host}:{port}"


def _redirect(route: Route, target: Target) -> Iterator[tuple[str, list[str]]]:
    """As nginx makes the default of proxy_redirect."""
    url = target.scheme + target.address + target.mark + target.uri
    location = route.one.location.replace("= ", "", 1).replace("^~ ", "", 1)
    if route.prefix != "proxy" or "$" in url + location:
        return
    yield "proxy_redirect", [url, location] if target.uri else [f"{url}/", "/"]


def _tls_name(route: Route, target: Target) -> Iterator[tuple[str, list[str]]]:
    if target.scheme.lower() in _WITH_TLS and target.address[:5].lower() != "unix:":
        yield f"{route.prefix}_ssl_name", [_host_and_port(target)[0]]


def _cares_for_tls_names(route: Route) -> bool:
    return "on" in (route.value(f"{route.prefix}_ssl_server_name"), route.value(f"{route.prefix}_ssl_verify"))


def _host_and_port(target: Target) -> tuple[str, str]:
    host, colon, port = target.address.rpartition(":")
    return (host, port) if colon and not target.address.endswith("]") else (target.address, "")
