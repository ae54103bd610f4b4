# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where the configuration itself answers with 500 to 504, whatever the upstream does: pure functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Iterable, Iterator

from ansible_collections.sre.bad_gateway.plugins.module_utils._nginx._config import Config, Directive
from ansible_collections.sre.bad_gateway.plugins.module_utils._nginx._lexer import shown

if TYPE_CHECKING:
    from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import ConfigStatus

_STATUSES = ("500", "502", "503", "504")


def config_statuses(config: Config) -> list[ConfigStatus]:
    """Every `return`, `error_page ... =STATUS` and `*_cache_valid` that makes one of these statuses, or keeps it."""
    return [
        found
        for http in config.directives
        if http.name == "http"
        for found in _below(http.block or (), (), location="", conditional=False)
    ]


def _below(
    block: Iterable[Directive], names: tuple[str, ...], *, location: str, conditional: bool
) -> Iterator[ConfigStatus]:
    for one in block:
        for status in _made_by(one):
            yield {
                "status": int(status),
                "directive": shown(one.name.value),
                "arguments": [shown(arg.value) for arg in one.args],
                "server_names": list(names),
                "location": location,
                "conditional": conditional,
                "file": shown(one.file),
                "line": one.line,
            }
        if one.name == "server":
            names_of = tuple(
                shown(arg.value) for each in one.block or () if each.name == "server_name" for arg in each.args
            )
            yield from _below(one.block or (), names_of, location="", conditional=False)
        elif one.block is not None and one.name != "upstream":
            inner = " ".join(shown(arg.value) for arg in one.args) if one.name == "location" else location
            yield from _below(one.block, names, location=inner, conditional=conditional or one.name == "if")


def _made_by(one: Directive) -> list[str]:
    words = [arg.value for arg in one.args]
    if one.name == "return":
        return [word for word in words[:1] if word in _STATUSES]
    if one.name == "error_page":
        return [word[1:] for word in words if word.startswith("=") and word[1:] in _STATUSES]
    if one.name.endswith("_cache_valid"):
        return ["502"] if "any" in words[:-1] else [word for word in words[:-1] if word in _STATUSES]
    return []
