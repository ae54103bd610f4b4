# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The directives in force at each route, with inheritance resolved as nginx does it: pure functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Collection, Iterable

from ansible_collections.sre.bad_gateway.plugins.module_utils._nginx._address import PASS_PROTOCOLS
from ansible_collections.sre.bad_gateway.plugins.module_utils._nginx._config import Config, Directive
from ansible_collections.sre.bad_gateway.plugins.module_utils._nginx._lexer import shown
from ansible_collections.sre.bad_gateway.plugins.module_utils._nginx._routes import Pass

if TYPE_CHECKING:
    from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import Settings

#: What decides how nginx talks to an upstream, without the prefix of the protocol's module: "proxy_", "uwsgi_" ...
_OF_MODULE = (
    *("bind", "buffer_size", "buffering", "buffers", "busy_buffers_size", "cache", "cache_valid", "connect_timeout"),
    *("http_version", "ignore_client_abort", "intercept_errors", "keep_conn", "next_upstream", "next_upstream_timeout"),
    *("next_upstream_tries", "read_timeout", "request_buffering", "send_timeout", "set_header", "socket_keepalive"),
    *("ssl_certificate", "ssl_certificate_key", "ssl_name", "ssl_protocols", "ssl_server_name"),
    *("ssl_trusted_certificate", "ssl_verify", "temp_path"),
)
_OF_ROUTES = ("auth_request", "client_max_body_size", "error_page", "resolver", "resolver_timeout")
#: What FastCGI is asked for. Of the many parameters that all sites share, this one alone tells.
_OF_SCRIPTS = ("fastcgi_index", "fastcgi_param", "root")
_SCRIPT = "SCRIPT_FILENAME"
_OF_ALL = frozenset(
    (*_OF_ROUTES, *_OF_SCRIPTS, *(f"{name[: -len('pass')]}{each}" for name in PASS_PROTOCOLS for each in _OF_MODULE))
)
_OF_NGINX = (
    *("client_body_temp_path", "multi_accept", "resolver", "resolver_timeout", "user", "worker_connections"),
    *("worker_processes", "worker_rlimit_nofile", "worker_shutdown_timeout"),
    *(f"{module}_temp_path" for module in ("fastcgi", "proxy", "scgi", "uwsgi")),
)


def nginx_settings(config: Config) -> Settings:
    """What holds for the whole nginx: of the levels main, events and http."""
    blocks = [one.block or () for one in config.directives if one.name in ("events", "http")]
    return _in_force(_own(block, _OF_NGINX) for block in (config.directives, *blocks))


def route_settings(all_passes: Iterable[Pass]) -> tuple[list[Settings], list[int]]:
    """Every distinct set of settings once, and for each route, in the same order, which of them is its own."""
    known: dict[str, int] = {}
    distinct: list[Settings] = []
    numbers = []
    levels: dict[int, Settings] = {}  # what each block says itself: thousands of routes can share that of `http`
    for one in all_passes:
        for level in one.levels:
            if id(level) not in levels:
                levels[id(level)] = _own(level.block or (), _OF_ALL)
        settings = _of_route(one, [levels[id(level)] for level in one.levels])
        number = known.setdefault(repr(settings), len(distinct))
        if number == len(distinct):
            distinct.append(settings)
        numbers.append(number)
    return distinct, numbers


def _of_route(one: Pass, levels: Iterable[Settings]) -> Settings:
    module = one.directive.name.value[: -len("pass")]
    mine = (*_OF_ROUTES, *(_OF_SCRIPTS if module == "fastcgi_" else ()), module)  # no other module's names begin so
    settings = {name: each for name, each in _in_force(levels).items() if name.startswith(mine)}
    if "fastcgi_param" in settings:
        settings["fastcgi_param"] = [words for words in settings["fastcgi_param"] if words[:1] == [_SCRIPT]]
    return settings


def _own(block: Iterable[Directive], names: Collection[str]) -> Settings:
    own: Settings = {}
    for directive in block:
        name = directive.name.value
        if name in names:
            own.setdefault(name, []).append([shown(arg.value) for arg in directive.args])
    return own


def _in_force(levels: Iterable[Settings]) -> Settings:
    """A level that has a directive of its own, once or several times, inherits none of that name."""
    settings: Settings = {}
    for own in levels:
        settings.update(own)
    return dict(sorted(settings.items()))
