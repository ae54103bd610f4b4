# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Settings of a route that are one statement each, in the words of its own protocol."""

from __future__ import annotations

import re
from typing import Iterator, Mapping, Optional, Sequence, Tuple

from ansible_collections.sre.bad_gateway.plugins.module_utils._change._errors import RouteError
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._routes._node import quoted
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._routes._route import Route
from ansible_collections.sre.bad_gateway.plugins.module_utils._nginx._lexer import LexError, lex, to_bytes

_TIME = re.compile(r"(?:[0-9]+(?:ms|[smhdwMy])?)(?: ?[0-9]+(?:ms|[smhdwMy]))*")
_SIZE = re.compile(r"([1-9][0-9]*)([kKmM]?)")
_UNITS = {"": 1, "k": 1024, "m": 1024 * 1024}
_BUFFERS = 8  # as many as nginx has by default
_DIRECTIVE = re.compile(r"[a-z][a-z0-9_]*")
_VERSIONS = ("1.0", "1.1", "2")

# What has an option of its own, because one statement alone would not do, or what is no setting of a route.
_ELSEWHERE = {
    "include": "a setting of its own",
    "error_page": "error_pages",
    "proxy_set_header": "headers",
    "grpc_set_header": "headers",
}

# Statements that add to each other, and may stop what is inherited: one value by name does not say what is meant.
_REPEATED = re.compile(
    r"add_(?:header|trailer)|set|if|return|rewrite|allow|deny|sub_filter|(?:access|error)_log|limit_(?:req|conn)"
    r"|\w+_(?:param|(?:hide|pass)_header|no_cache|cache_bypass|redirect|cookie_\w+)"
)

Setting = Tuple[str, Optional[Sequence[str]]]  # a directive and its arguments; None: it goes


def timeouts(route: Route, times: Mapping[str, str]) -> Iterator[Setting]:
    """connect, send and read."""
    for name, value in times.items():
        yield f"{route.prefix}_{name}_timeout", [required_time(value, f"timeouts, {name}")]


def http_version(route: Route, version: str) -> Iterator[Setting]:
    if route.prefix != "proxy":
        raise RouteError(f"{route.where}: http_version is a setting of proxy_pass, this is {route.prefix}_pass")
    if version not in _VERSIONS:
        raise RouteError(f"http_version: {version!r} is none of {', '.join(_VERSIONS)}")
    yield "proxy_http_version", [version]


def next_upstream(route: Route, conditions: Sequence[str]) -> Iterator[Setting]:
    yield f"{route.prefix}_next_upstream", [_word(one, "next_upstream") for one in conditions]


def buffers(route: Route, size: str) -> Iterator[Setting]:
    """One size for all buffers, and the sizes that nginx demands to go with it."""
    match = _SIZE.fullmatch(size)
    if match is None:
        raise RouteError(f"buffer_size: {size!r} is no size as nginx writes it, for example 16k")
    yield f"{route.prefix}_buffer_size", [size]
    if route.prefix == "grpc":
        return  # it has this one buffer
    double = f"{2 * int(match[1])}{match[2]}"
    yield f"{route.prefix}_buffers", [str(_BUFFERS), size]
    yield f"{route.prefix}_busy_buffers_size", [double]
    written = route.value(f"{route.prefix}_temp_file_write_size")
    if written is not None and _bytes(written) < _bytes(size):
        yield f"{route.prefix}_temp_file_write_size", [double]


def raw(directives: Mapping[str, object]) -> Iterator[Setting]:
    """Any directives; None takes one back."""
    for name, value in directives.items():
        if not _DIRECTIVE.fullmatch(name) or name.endswith("_lua_block"):
            raise RouteError(f"directives: {name!r} is no name of a directive that has arguments only")
        if name.endswith("_pass"):
            raise RouteError(f"directives: {name} is what a route is made of; use pass_to")
        if name in _ELSEWHERE:
            raise RouteError(f"directives: {name} is not set one by one; use {_ELSEWHERE[name]}")
        if _REPEATED.fullmatch(name):
            raise RouteError(f"directives: {name} can stand several times in a location, so it has no one value")
        yield name, None if value is None else arguments(name, value)


def required_time(value: str, name: str) -> str:
    if not _TIME.fullmatch(value):
        raise RouteError(f"{name}: {value!r} is no time as nginx writes it, for example 5s, 500ms or 1m")
    return value


def arguments(name: str, value: object) -> list[str]:
    """The words of a setting: a list has one in each element, a text is cut as nginx cuts it."""
    listed = isinstance(value, (list, tuple))
    words = [_word(_text(one), name) for one in value] if listed else _cut(name, _text(value))  # type: ignore[attr-defined]
    if not words:
        raise RouteError(f"{name}: there is no value")
    return words


def _cut(name: str, text: str) -> list[str]:
    data = to_bytes(text)
    try:
        tokens = [token for token, _line, _quoted in lex(data + b" ;", name)]
    except LexError as error:
        raise RouteError(f"{name}: {text!r} cannot be read as arguments: {error.reason}") from error
    ends = [token for token in tokens if token in ("{", "}", ";") and not token.quoted]
    if len(ends) != 1 or "\n" in text:
        raise RouteError(f"{name}: {text!r} is more than the arguments of one directive")
    return [_word(token.value, name) for token in tokens[:-1]]


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return str(value)


def _word(word: str, name: str) -> str:
    try:
        quoted(word)
    except RouteError as error:
        raise RouteError(f"{name}: {error}") from error
    return word


def _bytes(size: str) -> int:
    match = _SIZE.fullmatch(size)
    return int(match[1]) * _UNITS[match[2].lower()] if match else 0
