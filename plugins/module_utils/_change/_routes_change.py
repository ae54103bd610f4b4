# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which words of which files have to change so that a route leads where it should: pure, nothing is written."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Callable

from ansible_collections.sre.bad_gateway.plugins.module_utils._change._errors import ConfigError, RouteError
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._splice import ArgumentEdit, Splice
from ansible_collections.sre.bad_gateway.plugins.module_utils._nginx._address import (
    Address,
    AddressError,
    Target,
    parse_address,
    redacted,
    split_target,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._nginx._config import Config, Directive
from ansible_collections.sre.bad_gateway.plugins.module_utils._nginx._lexer import shown, to_bytes
from ansible_collections.sre.bad_gateway.plugins.module_utils._nginx._routes import Group, Pass, passes
from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import ConfigMessage

# What can stand in a word of nginx's without quotes; a colon would end the path of a socket.
_PLAIN_PATH = re.compile(r"/[^\s:;{}\"'\\$#\x00-\x20\x7f]+")
_NEAR = 5


@dataclass(frozen=True)
class Correction:
    """One route and where it should lead."""

    pass_to: str
    server_name: str | None = None
    listen: str | None = None
    location: str | None = None
    file: str | None = None
    line: int | None = None
    endpoint: str | None = None  # which of the addresses it leads to gives way

    def __post_init__(self) -> None:
        if not self.selectors:
            raise RouteError(
                f"pass_to {self.pass_to}: name the route (server_name, listen, location, or file and line)"
            )
        if self.line is not None and self.file is None:
            raise RouteError(f"line {self.line}: name the file too")

    @property
    def selectors(self) -> dict[str, object]:
        given = {
            "server_name": self.server_name,
            "listen": self.listen,
            "location": self.location,
            "file": self.file,
            "line": self.line,
        }
        return {name: value for name, value in given.items() if value is not None}

    @property
    def address(self) -> Address:
        try:
            address = parse_address(self.pass_to)
        except AddressError as error:
            raise RouteError(
                f"pass_to {self.pass_to!r}: {error}; write 127.0.0.1:8000, [::1]:8000, app1:8000 or unix:/run/x.sock"
            ) from error
        if address.path is not None and not _PLAIN_PATH.fullmatch(address.path):
            raise RouteError(
                f"pass_to {self.pass_to!r}: the path has to be absolute, without blanks, colons, quotes or $"
            )
        return address

    def __str__(self) -> str:
        return ", ".join(f"{name} {value}" for name, value in self.selectors.items())


def matching(config: Config, correction: Correction) -> list[Pass]:
    """The routes that the selectors fit; several only where one statement serves several servers."""
    tests: dict[str, Callable[[Pass], bool]] = {
        "server_name": lambda one: str(correction.server_name).lower() in [name.lower() for name in one.server_names],
        "listen": lambda one: any(str(correction.listen) in (listen, listen.split()[0]) for listen in one.listen),
        "location": lambda one: " ".join(str(correction.location).split()) == one.location,
        "file": lambda one: os.path.realpath(str(correction.file)) == os.path.realpath(one.directive.file),
        "line": lambda one: correction.line in (one.directive.line, *(server.line for _unused, server in one.ends)),
    }
    return [one for one in passes(config) if all(tests[name](one) for name in correction.selectors)]


def nearest(config: Config, correction: Correction) -> list[str]:
    """Routes that come close, best first, for the message that none fits."""
    wanted = " ".join(str(value) for value in correction.selectors.values())

    def likeness(one: Pass) -> float:
        have = {
            "server_name": " ".join(one.server_names),
            "listen": " ".join(one.listen),
            "location": one.location,
            "file": one.directive.file,
            "line": str(one.directive.line),
        }
        return SequenceMatcher(None, wanted, " ".join(have[name] for name in correction.selectors)).ratio()

    return [described(one) for one in sorted(passes(config), key=likeness, reverse=True)[:_NEAR]]


def told(message: ConfigMessage) -> str:
    place = message["file"] if message["line"] is None else f"{message['file']}:{message['line']}"
    return f"{place}: {message['message']}"


def described(one: Pass) -> str:
    name = one.server_names[0] if one.server_names else "_"
    return shown(f"{name} {one.location} ({one.directive.file}:{one.directive.line})")


def edits_for(config: Config, found: list[Pass], correction: Correction) -> list[ArgumentEdit]:
    """The edits that make the routes `found` lead to `pass_to`; none when they do already."""
    places = {_place(one.directive): one for one in found}
    if len(places) > 1:
        raise RouteError(
            f"{correction}: {len(places)} routes fit, name the one that is meant: "
            + "; ".join(described(one) for one in places.values())
        )
    (one,) = places.values()
    unreadable = [message for message in config.messages if message["file"] == shown(one.directive.file)]
    if unreadable:
        raise ConfigError(f"{told(unreadable[0])}; mend the file first, a file that cannot be read whole is not edited")
    if one.group is not None:
        return _group_edits(config, one.group, correction)
    return _target_edits(config, one, correction)


def affected(config: Config, edits: list[ArgumentEdit]) -> list[Pass]:
    """Every route that an edit changes: a snippet or an upstream block can serve many."""
    places = {(edit.file, edit.token.start) for edit in edits}
    return [
        one
        for one in passes(config)
        if _argument_place(one.directive) in places
        or any(_argument_place(server) in places for _address, server in one.ends)
    ]


def _target_edits(config: Config, one: Pass, correction: Correction) -> list[ArgumentEdit]:
    directive = one.directive
    where = f"{directive.file}:{directive.line}"
    if one.target.variables:
        raise RouteError(
            f"{where}: {directive.name} {redacted(directive.args[0])} holds variables, so the address is not all here; "
            "correct the variable's value, or write the address out"
        )
    if one.address is not None and one.address.key == correction.address.key:
        return []
    if one.address is None or correction.endpoint not in (None, one.address.key):
        leads = one.address.key if one.address else "nowhere that can be read"
        raise RouteError(f"{where}: the route leads to {leads}, not to {correction.endpoint or 'an address'}")
    return [_edit(config, directive, one.target, correction)]


def _group_edits(config: Config, group: Group, correction: Correction) -> list[ArgumentEdit]:
    servers = [server for server in group.servers if server.address is not None]
    keys = [server.address.key for server in servers if server.address is not None]
    wanted = correction.address.key
    where = f"upstream {group.name} ({group.directive.file}:{group.directive.line})"
    if correction.endpoint is None and len(keys) != 1:
        raise RouteError(f"{where} has {len(keys)} servers, say with endpoint which one is wrong: {', '.join(keys)}")
    wrong = [server for server, key in zip(servers, keys) if key == (correction.endpoint or keys[0]) != wanted]
    if not wrong and wanted not in keys:
        raise RouteError(f"{where} has no server {correction.endpoint}, only {', '.join(keys)}")
    return [_edit(config, server.directive, _server_target(server.directive), correction) for server in wrong]


def _server_target(directive: Directive) -> Target:
    # A server's argument is an address and nothing else, as fastcgi_pass has it.
    return split_target("fastcgi_pass", directive.args[0].value)


def _edit(config: Config, directive: Directive, target: Target, correction: Correction) -> ArgumentEdit:
    token = directive.args[0]
    start = token.start + token.quoted + len(to_bytes(target.scheme))
    marked = target.marked(correction.pass_to)
    old, new = to_bytes(target.address + target.mark), to_bytes(marked)
    source = config.sources[directive.file]
    if source[start : start + len(old)] != old:
        raise RouteError(f"{directive.file}:{directive.line}: write the address without escapes: {target.address}")
    return ArgumentEdit(
        file=directive.file,
        token=token,
        value=target.scheme + marked + target.uri,
        splice=Splice(start=start, end=start + len(old), replacement=new),
    )


def _place(directive: Directive) -> tuple[str, int]:
    return directive.file, directive.name.start


def _argument_place(directive: Directive) -> tuple[str, int]:
    return directive.file, directive.args[0].start if directive.args else -1
