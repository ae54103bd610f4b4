# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which routes an entry is about."""

from __future__ import annotations

import os
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import lru_cache
from typing import Callable, Sequence

from ansible_collections.sre.bad_gateway.plugins.module_utils._change._errors import RouteError
from ansible_collections.sre.bad_gateway.plugins.module_utils._nginx._lexer import shown
from ansible_collections.sre.bad_gateway.plugins.module_utils._nginx._routes import Pass

_NEAR = 5


@dataclass(frozen=True)
class Selector:
    """What is given has to fit; nothing given fits nothing."""

    server_name: str | None = None
    listen: str | None = None
    location: str | None = None
    file: str | None = None
    line: int | None = None

    def __post_init__(self) -> None:
        if not self.given:
            raise RouteError("name the route (server_name, listen, location, or file and line)")
        if self.line is not None and self.file is None:
            raise RouteError(f"line {self.line}: name the file too")

    @property
    def given(self) -> dict[str, object]:
        return {name: value for name, value in vars(self).items() if value is not None}

    def __str__(self) -> str:
        return ", ".join(f"{name} {value}" for name, value in self.given.items())


def matching(routes: Sequence[Pass], selector: Selector) -> list[Pass]:
    """The routes that fit; several only where one statement serves several servers. RouteError lists them otherwise."""
    asked = _asked(selector)
    found = [one for one in routes if all(test(one) for test in asked)]
    places = {(one.directive.file, one.directive.name.start): one for one in found}
    if len(places) > 1:
        raise RouteError(
            f"{selector}: {len(places)} routes fit, name the one that is meant: "
            + "; ".join(described(one) for one in places.values())
        )
    return found


def _asked(selector: Selector) -> list[Callable[[Pass], bool]]:
    """What a route has to fulfil, one test for each thing that is given."""
    wanted_file = None if selector.file is None else _real(os.path.abspath(selector.file))  # noqa: PTH100
    tests: dict[str, Callable[[Pass], bool]] = {
        "server_name": lambda one: str(selector.server_name).lower() in [name.lower() for name in one.server_names],
        "listen": lambda one: any(str(selector.listen) in (listen, listen.split()[0]) for listen in one.listen),
        "location": lambda one: " ".join(str(selector.location).split()) == one.location,
        "file": lambda one: wanted_file == _real(one.directive.file),
        "line": lambda one: selector.line in (one.directive.line, *(server.line for _unused, server in one.ends)),
    }
    return [tests[name] for name in selector.given]


def nearest(routes: Sequence[Pass], selector: Selector) -> list[str]:
    """Routes that come close, best first, for the message that none fits."""
    asked = _asked(selector)
    wanted = " ".join(str(value) for value in selector.given.values())

    def likeness(one: Pass) -> tuple[list[bool], float]:
        have = {
            "server_name": " ".join(one.server_names),
            "listen": " ".join(one.listen),
            "location": one.location,
            "file": one.directive.file,
            "line": str(one.directive.line),
        }
        alike = SequenceMatcher(None, wanted, " ".join(have[name] for name in selector.given)).ratio()
        return [test(one) for test in asked], alike

    def told(one: Pass) -> str:
        return described(one) + (shown(f" on {', '.join(one.listen)}") if selector.listen is not None else "")

    return [told(one) for one in sorted(routes, key=likeness, reverse=True)[:_NEAR]]


def described(one: Pass) -> str:
    name = one.server_names[0] if one.server_names else "_"
    return shown(f"{name} {one.location} ({one.directive.file}:{one.directive.line})")


@lru_cache(maxsize=None)
def _real(path: str) -> str:
    return os.path.realpath(path)
