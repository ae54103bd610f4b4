# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a configuration says about routes, upstreams and endpoints: pure functions, nothing is resolved."""

from __future__ import annotations

import ipaddress
from collections import Counter
from typing import TYPE_CHECKING, Iterable, Iterator, NamedTuple, Tuple

from ansible_collections.sre.bad_gateway.plugins.module_utils._nginx._address import (
    PASS_PROTOCOLS,
    Address,
    AddressError,
    Target,
    parse_address,
    redacted,
    split_target,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._nginx._config import Config, Directive
from ansible_collections.sre.bad_gateway.plugins.module_utils._nginx._lexer import Token, shown

if TYPE_CHECKING:
    from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import (
        Endpoint,
        Position,
        Route,
        Upstream,
        UpstreamServer,
    )

_LOCATION_MODIFIERS = ("^~", "~*", "~", "=")  # nginx takes them with or without a blank before the name
_SERVER_PORT = 80  # of a `server` in an upstream block, whatever the protocol


class Server(NamedTuple):
    """One `server` of an upstream block."""

    directive: Directive
    address: Address | None  # None: nginx would not take it


class Group(NamedTuple):
    """An upstream block."""

    directive: Directive
    servers: tuple[Server, ...]

    @property
    def name(self) -> str:
        return _value(self.directive, 0)


#: An address with the statement that names it.
End = Tuple[Address, Directive]


class Pass(NamedTuple):
    """A `*_pass` with all that decides where it leads: a route, still tied to the words in the file."""

    directive: Directive
    target: Target
    server_names: tuple[str, ...]
    listen: tuple[str, ...]
    location: str
    group: Group | None
    address: Address | None  # None: through a group, or not to be read off the text
    levels: tuple[Directive, ...]  # the blocks around it, outermost first: http, server, location, maybe an `if`
    choices: tuple[End, ...] = ()  # where the values of a variable lead, which decides

    @property
    def ends(self) -> list[End]:
        """Every address it can lead to."""
        if self.choices:
            return list(self.choices)
        if self.group is not None:
            return [(server.address, server.directive) for server in self.group.servers if server.address is not None]
        return [] if self.address is None else [(self.address, self.directive)]


def passes(config: Config) -> list[Pass]:
    """Every route in force, in the order of the files."""
    groups = groups_by_name(config)
    found = []
    for http, server in _servers(config):
        block = server.block or ()
        names = tuple(arg.value for one in block if one.name == "server_name" for arg in one.args)
        listen = tuple(" ".join(arg.value for arg in one.args) for one in block if one.name == "listen")
        for levels, directive in _in_locations((http, server)):
            found.append(_pass(directive, names=names, listen=listen, levels=levels, groups=groups))
    return found


def groups_by_name(config: Config) -> dict[str, Group]:
    """The upstream blocks; names are the same in capitals."""
    return {group.name.lower(): group for group in reversed(_groups(config))}


def routes(all_passes: Iterable[Pass]) -> list[Route]:
    seen: Counter[str] = Counter()
    found: list[Route] = []
    for one in all_passes:
        name = _route_name(one)
        seen[name] += 1
        found.append(
            {
                "id": name if seen[name] == 1 else f"{name} #{seen[name]}",
                "server_names": [shown(server_name) for server_name in one.server_names],
                "listen": [shown(listen) for listen in one.listen],
                "location": shown(one.location),
                "directive": shown(one.directive.name),
                "target": redacted(shown(_value(one.directive, 0))),
                "upstream": shown(one.group.name) if one.group else None,
                "endpoints": list(dict.fromkeys(shown(address.key) for address, _directive in one.ends)),
                "variables": one.target.variables,
                "chosen": bool(one.choices),
                "settings": 0,
                "file": shown(one.directive.file),
                "line": one.directive.line,
            }
        )
    return found


def upstreams(config: Config) -> list[Upstream]:
    return [
        {
            "name": shown(group.name),
            "servers": [_upstream_server(server) for server in group.servers],
            "directives": [
                [shown(word.value) for word in (one.name, *one.args)]
                for one in group.directive.block or ()
                if one.name != "server"
            ],
            "file": shown(group.directive.file),
            "line": group.directive.line,
        }
        for group in _groups(config)
    ]


def endpoints(all_passes: Iterable[Pass]) -> list[Endpoint]:
    """Every address that a route can lead to, once per protocol spoken there; host names are not resolved."""
    found: dict[tuple[str, str], Endpoint] = {}
    for one in all_passes:
        for address, directive in one.ends:
            endpoint = found.setdefault((address.key, one.target.protocol), _endpoint(address, one.target.protocol))
            position: Position = {"file": shown(directive.file), "line": directive.line}
            if position not in endpoint["written_at"]:
                endpoint["written_at"].append(position)
    return list(found.values())


def worker_user(config: Config) -> str | None:
    """The argument of `user`; None: the compiled-in default holds."""
    return next((shown(_value(one, 0)) for one in config.directives if one.name == "user"), None)


def _value(directive: Directive, index: int) -> str:
    """An argument as nginx reads it; empty where it is missing, which only a rejected configuration has."""
    return directive.args[index].value if len(directive.args) > index else ""


def _http(config: Config) -> Iterator[Directive]:
    for directive in config.directives:
        if directive.name == "http":
            yield from directive.block or ()


def _servers(config: Config) -> Iterator[tuple[Directive, Directive]]:
    for http in config.directives:
        if http.name == "http":
            yield from ((http, server) for server in http.block or () if server.name == "server")


def _groups(config: Config) -> list[Group]:
    return [
        Group(
            directive=directive,
            servers=tuple(
                Server(directive=one, address=parsed_address(_value(one, 0), default_port=_SERVER_PORT))
                for one in directive.block or ()
                if one.name == "server"
            ),
        )
        for directive in _http(config)
        if directive.name == "upstream"
    ]


def _in_locations(levels: tuple[Directive, ...]) -> Iterator[tuple[tuple[Directive, ...], Directive]]:
    for directive in levels[-1].block or ():
        if directive.name in PASS_PROTOCOLS:
            yield levels, directive
        elif directive.block is not None:
            yield from _in_locations((*levels, directive))


def _location(args: tuple[Token, ...]) -> str:
    words = [arg.value for arg in args]
    if len(words) == 1:
        modifier = next((mark for mark in _LOCATION_MODIFIERS if words[0].startswith(mark)), "")
        words = [modifier, words[0][len(modifier) :]] if modifier else words
    return " ".join(words)


def _pass(
    directive: Directive,
    *,
    names: tuple[str, ...],
    listen: tuple[str, ...],
    levels: tuple[Directive, ...],
    groups: dict[str, Group],
) -> Pass:
    target = split_target(directive.name, _value(directive, 0))
    group = groups.get(target.address.lower()) if target.decided else None
    known = target.decided and group is None
    return Pass(
        directive=directive,
        target=target,
        server_names=names,
        listen=listen,
        location=next((_location(level.args) for level in reversed(levels) if level.name == "location"), ""),
        group=group,
        address=parsed_address(target.address, default_port=target.default_port) if known else None,
        levels=levels,
    )


def parsed_address(text: str, *, default_port: int | None) -> Address | None:
    try:
        return parse_address(text, default_port=default_port)
    except AddressError:
        return None


def _route_name(one: Pass) -> str:
    name = one.server_names[0] if one.server_names else "_"
    port = (one.listen[0].split() or [""])[0].rpartition(":")[2] if one.listen else ""
    suffix = f":{port}" if port.isdigit() and port not in ("80", "443") else ""
    return shown(f"{name}{suffix} {one.location}")


def _upstream_server(server: Server) -> UpstreamServer:
    return {
        "address": redacted(shown(_value(server.directive, 0))),
        "endpoint": shown(server.address.key) if server.address else None,
        "parameters": [shown(arg.value) for arg in server.directive.args[1:]],
        "line": server.directive.line,
        "file": shown(server.directive.file),
    }


def _endpoint(address: Address, protocol: str) -> Endpoint:
    host = address.host
    return {
        "key": shown(address.key),
        "transport": address.transport,
        "host": None if host is None else shown(host),
        "port": address.port,
        "path": None if address.path is None else shown(address.path),
        "protocol": protocol,
        "addresses": [host] if host is not None and is_ip(host) else [],
        "resolve_error": None,
        "written_at": [],
    }


def is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
