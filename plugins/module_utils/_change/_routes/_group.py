# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What stands inside an upstream block."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Mapping, Sequence

from ansible_collections.sre.bad_gateway.plugins.module_utils._change._errors import RouteError
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._routes._draft import Draft
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._routes._node import Node, new, quoted
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._routes._settings import arguments, required_time
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._routes._target import (
    required_address,
    server_address,
    servers_of,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._keepalive import (
    KEPT_BY_DEFAULT_SINCE,
    TIMEOUT_SINCE,
)

METHODS = ("least_conn", "ip_hash", "hash", "random", "least_time")

_PARAMETER = re.compile(r"[a-z_]+")
_SERVER_PORT = 80


@dataclass(frozen=True)
class WantedServer:
    address: str
    parameters: Mapping[str, object] = field(default_factory=dict)  # True: by its name alone; None: not there
    with_port: bool = False  # that the route left out


@dataclass(frozen=True)
class WantedUpstream:
    """What an entry asks of an upstream block. None: not named."""

    name: str | None = None
    servers: Sequence[WantedServer] | None = None
    server_parameters: Mapping[str, object] = field(default_factory=dict)
    keepalive: int | None = None
    keepalive_timeout: str | None = None
    keepalive_requests: int | None = None
    app_idle_timeout: int | None = None  # what the app servers do, where that is not seen on this host
    zone: str | None = None
    method: str | None = None


def apply_to_group(draft: Draft, group: Node, wanted: WantedUpstream) -> None:
    """Let the block have what is asked for. The method goes first: before nginx 1.29.7 keepalive has to follow it."""
    if wanted.servers is not None:
        _servers(draft, group, wanted.servers)
    for server in servers_of(group):
        _parameters(draft, server, wanted.server_parameters)
    if wanted.method is not None:
        _method(draft, group, arguments("method", wanted.method))
    if wanted.zone is not None:
        _put(draft, group, ["zone", *arguments("zone", wanted.zone)], first=True)
    for words in _keepalive(draft, wanted):
        _put(draft, group, words)


def take_back_from_group(draft: Draft, group: Node, wanted: WantedUpstream) -> None:
    """Take out of the block what is named, whatever its value."""
    named = {
        "keepalive": wanted.keepalive,
        "keepalive_timeout": wanted.keepalive_timeout,
        "keepalive_requests": wanted.keepalive_requests,
        "zone": wanted.zone,
    }
    names = {name for name, value in named.items() if value is not None}
    if wanted.method is not None:
        names.update(METHODS)
    for child in group.children:
        if child.name in names:
            draft.remove(child)
    for server in servers_of(group):
        _parameters(draft, server, dict.fromkeys(wanted.server_parameters))
    going = {required_server(one.address) for one in wanted.servers or ()}
    for server in servers_of(group):
        if _key(server) in going:
            draft.remove(server)
    if going and not servers_of(group):
        raise RouteError(f"upstream {group.args[0]}: no server would be left in it")


def required_server(address: str) -> str:
    """The key of a server's address, which may leave the port out."""
    host_alone = ":" not in address or (address.startswith("[") and address.endswith("]"))
    return required_address(f"{address}:{_SERVER_PORT}" if host_alone else address, option="servers").key


def _key(server: Node) -> str | None:
    address = server_address(server)
    return None if address is None else address.key


def _servers(draft: Draft, group: Node, wanted: Sequence[WantedServer]) -> None:
    """These servers and no others. What is there already keeps its place, and the parameters that are not named."""
    standing = {_key(server): server for server in servers_of(group)}
    keys = [required_server(one.address) for one in wanted]
    if not keys or len(set(keys)) != len(keys):
        raise RouteError(f"upstream {group.args[0]}: servers has to name at least one server, and each once")
    for key, one in zip(keys, wanted):
        if key in standing:
            _parameters(draft, standing[key], one.parameters)
            continue
        last = servers_of(group)[-1:]
        server = new("server", one.address, *_written(one.parameters), along=one.with_port)
        draft.add_child(server, group, behind=last[0] if last else None)
    for server in standing.values():
        if _key(server) not in keys:
            draft.remove(server)


def _parameters(draft: Draft, server: Node, wanted: Mapping[str, object]) -> None:
    words = server.words
    for name, value in wanted.items():
        given = _written({name: value})
        old = [word for word in words[2:] if word.partition("=")[0] == name]
        if old and given:
            words = [given[0] if word == old[0] else word for word in words]
        else:
            words = [word for word in words if word not in old] + given
    draft.set_words(server, *words)


def _written(parameters: Mapping[str, object]) -> list[str]:
    found = []
    for name, value in parameters.items():
        if not _PARAMETER.fullmatch(name):
            raise RouteError(f"server parameter {name!r}: a name has small letters and underscores only")
        if value is None or value is False:
            continue
        word = name if value is True else f"{name}={value}"
        quoted(word)
        found.append(word)
    return found


def _method(draft: Draft, group: Node, words: Sequence[str]) -> None:
    if words[0] not in METHODS:
        raise RouteError(f"method: {words[0]!r} is none of {', '.join(METHODS)}; round robin is no method's name")
    standing = [child for child in group.children if child.name in METHODS]
    if standing:
        draft.set_words(standing[0], *words)
    else:
        draft.add_child(new(*words), group, first=True)


def _keepalive(draft: Draft, wanted: WantedUpstream) -> list[list[str]]:
    if wanted.keepalive == 0 and draft.version < KEPT_BY_DEFAULT_SINCE:
        raise RouteError(
            "keepalive 0 is an error before nginx 1.29.7, where no connections are kept unless asked for; "
            "take keepalive back with state: absent"
        )
    if () < draft.version < TIMEOUT_SINCE and (wanted.keepalive_timeout or wanted.keepalive_requests):
        raise RouteError(
            "keepalive_timeout and keepalive_requests are known to upstream blocks from nginx 1.15.3 on, this is "
            + ".".join(str(part) for part in draft.version)
        )
    found = []
    if wanted.keepalive is not None:
        found.append(["keepalive", str(_required_number(wanted.keepalive, "keepalive", least=0))])
    if wanted.keepalive_requests is not None:
        number = _required_number(wanted.keepalive_requests, "keepalive_requests", least=1)
        found.append(["keepalive_requests", str(number)])
    if wanted.keepalive_timeout is not None:
        found.append(["keepalive_timeout", required_time(wanted.keepalive_timeout, "keepalive_timeout")])
    return found


def _required_number(number: int, name: str, *, least: int) -> int:
    if number < least:
        raise RouteError(f"{name}: {number} is below {least}")
    return number


def _put(draft: Draft, group: Node, words: list[str], *, first: bool = False) -> None:
    standing = [child for child in group.children if child.name == words[0]]
    if standing:
        draft.set_words(standing[0], *words)
    else:
        draft.add_child(new(*words), group, first=first)
