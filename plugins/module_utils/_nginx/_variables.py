# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where routes lead whose address is in a variable, as far as the configuration itself says: `set`, `map` and the like.

Only addresses and names of upstream blocks count. What host names mean there, nginx's own resolver decides.
"""

from __future__ import annotations

import re
from typing import Iterable, Iterator, Sequence

from ansible_collections.sre.bad_gateway.plugins.module_utils._nginx._address import Target, split_target
from ansible_collections.sre.bad_gateway.plugins.module_utils._nginx._config import Config, Directive
from ansible_collections.sre.bad_gateway.plugins.module_utils._nginx._routes import (
    End,
    Group,
    Pass,
    groups_by_name,
    is_ip,
    parsed_address,
)

_VARIABLE = r"\$(?:\{(?P<braced>\w+)\}|(?P<plain>\w+))"
_BLOCKS = ("map", "split_clients", "geo")
_NO_VALUES = ("hostnames", "volatile", "include", "ranges", "delete", "proxy", "proxy_recursive")
_OF_THE_HOST = ("$host", "$http_host", "$server_name", "$ssl_server_name")
_PLAIN_NAME = r"[a-z0-9-]+(?:\.[a-z0-9-]+)+"


def with_choices(config: Config, passes: Iterable[Pass]) -> list[Pass]:
    """The same routes; those that a variable decides about know where its values lead."""
    groups = groups_by_name(config)
    blocks = [
        one for http in config.directives if http.name == "http" for one in http.block or () if one.name in _BLOCKS
    ]
    return [_with_choices(one, blocks, groups) if _is_undecided(one) else one for one in passes]


def _is_undecided(one: Pass) -> bool:
    return one.target.variables and not one.target.decided and bool(one.directive.args)


def _with_choices(one: Pass, blocks: Sequence[Directive], groups: dict[str, Group]) -> Pass:
    text = one.directive.args[0].value
    variable = re.search(_VARIABLE, text)
    if variable is None:
        return one
    name = f"${variable['braced'] or variable['plain']}"
    values = dict.fromkeys([*_set_values(one, name), *_block_values(one, name, blocks)])
    texts = [text[: variable.start()] + value + text[variable.end() :] for value in values]
    found = [
        (target, end)
        for target in (split_target(one.directive.name, each) for each in texts)
        for end in _ends(target, one, groups)
    ]
    protocols = {target.protocol for target, _unused in found}
    if len(protocols) != 1:
        return one
    return one._replace(
        target=one.target._replace(protocol=protocols.pop()), choices=tuple(end for _unused, end in found)
    )


def _ends(target: Target, one: Pass, groups: dict[str, Group]) -> list[End]:
    if not target.decided:
        return []
    group = groups.get(target.address.lower())
    if group is not None:
        down = [server for server in group.servers if any(word.value == "down" for word in server.directive.args)]
        return [
            (server.address, server.directive)
            for server in group.servers
            if server.address is not None and server not in down
        ]
    address = parsed_address(target.address, default_port=target.default_port)
    known = address is not None and (address.path is not None or is_ip(address.host or ""))
    return [(address, one.directive)] if address is not None and known else []


def _set_values(one: Pass, name: str) -> Iterator[str]:
    """What `set` gives it, anywhere in that server."""
    for directive in _below(one.levels[1:2]):
        if directive.name == "set" and len(directive.args) == 2 and directive.args[0].value == name:
            yield directive.args[1].value


def _below(directives: Iterable[Directive]) -> Iterator[Directive]:
    for directive in directives:
        yield directive
        yield from _below(directive.block or ())


def _block_values(one: Pass, name: str, blocks: Iterable[Directive]) -> Iterator[str]:
    for block in blocks:
        if block.args and block.args[-1].value == name:
            entries = {
                each.name.lower(): each.args[0].value
                for each in block.block or ()
                if each.args and each.name not in _NO_VALUES
            }
            yield from _for_names(one.server_names, entries) if _is_by_host(one, block, entries) else entries.values()


def _is_by_host(one: Pass, block: Directive, entries: Iterable[str]) -> bool:
    """Whether the names of the server alone decide."""
    by_host = block.name == "map" and block.args[0].value in _OF_THE_HOST
    plain = all(re.fullmatch(_PLAIN_NAME, name.lower()) for name in one.server_names)
    return (
        by_host
        and bool(one.server_names)
        and plain
        and all(re.fullmatch(_PLAIN_NAME, key) or key == "default" for key in entries)
    )


def _for_names(names: Iterable[str], entries: dict[str, str]) -> Iterator[str]:
    for name in names:
        yield entries.get(name.lower(), entries.get("default", ""))
