# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A statement of a config file as it is and as it shall be, and how a new one is written."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Iterable

from ansible_collections.sre.bad_gateway.plugins.module_utils._change._errors import RouteError
from ansible_collections.sre.bad_gateway.plugins.module_utils._nginx._lexer import Token

# What nginx reads as written; everything else goes into quotes. A dollar sign takes the braces that follow it.
_PLAIN = re.compile(r"(?:[A-Za-z0-9_@%&*+,./:=?!^~|<>()\[\]-]|\$(?=[A-Za-z0-9_]))+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_UNIT = "    "


@dataclass(frozen=True)
class Place:
    """Where a statement stands in its file."""

    file: str
    words: tuple[Token, ...]
    opened: int | None  # the byte after its opening brace
    end: int  # the byte after its semicolon or closing brace

    @property
    def start(self) -> int:
        return self.words[0].start

    @property
    def line(self) -> int:
        return self.words[0].line


@dataclass(eq=False)
class Node:
    """A statement as it shall be."""

    words: list[str]  # as nginx shall read them
    block: list[Node] | None = None
    place: Place | None = None  # None: it is new
    along: bool = False  # nobody asked for it: it goes along with what was asked for
    ahead: bool = False  # a new one goes right before what follows it, not right behind what precedes it
    removed: bool = False
    home: list[Node] = field(default_factory=list, repr=False)  # the list that it stands in

    @property
    def name(self) -> str:
        return self.words[0]

    @property
    def args(self) -> list[str]:
        return self.words[1:]

    @property
    def goes_along(self) -> bool:
        """What goes along is known again by the quotes around its first argument, which needs none."""
        if self.place is None:
            return self.along
        first = self.place.words[1:2]
        return bool(first and first[0].quoted and _PLAIN.fullmatch(first[0].value))

    @property
    def children(self) -> list[Node]:
        return [child for child in self.block or () if not child.removed]

    @property
    def shape(self) -> tuple[Any, ...]:
        """All that nginx reads of it."""
        return tuple(self.words), None if self.block is None else tuple(child.shape for child in self.children)

    def __str__(self) -> str:
        return " ".join(quoted(word) for word in self.words) + ("" if self.block is None else " { ... }")


def new(*words: str, block: Iterable[Node] | None = None, along: bool = False) -> Node:
    """A statement that is in no file yet."""
    node = Node(words=list(words), block=None if block is None else list(block), along=along)
    for child in node.block or ():
        child.home = node.block or []
    return node


def quoted(value: str, *, quote: str = "") -> str:
    """A word that nginx reads as `value`, in this kind of quotes or in none if it needs none."""
    if _CONTROL.search(value):
        raise RouteError(f"{value!r}: line breaks and control characters do not belong into a configuration")
    if not quote and _PLAIN.fullmatch(value):
        return value
    mark = quote or '"'
    return mark + value.replace("\\", "\\\\").replace(mark, "\\" + mark) + mark


def in_line(node: Node) -> str:
    """A statement as a piece of a line."""
    words = _written(node)
    if node.block is None:
        return f"{words};"
    return " ".join([words, "{", *(in_line(child) for child in node.children), "}"])


def in_lines(node: Node, *, indent: str) -> list[str]:
    """A statement on lines of its own."""
    words = indent + _written(node)
    if node.block is None:
        return [f"{words};"]
    unit = "\t" if indent.startswith("\t") else _UNIT
    inner = [line for child in node.children for line in in_lines(child, indent=indent + unit)]
    return [f"{words} {{", *inner, f"{indent}}}"]


def _written(node: Node) -> str:
    words = [quoted(word, quote='"' if node.along and index == 1 else "") for index, word in enumerate(node.words)]
    return " ".join(words)
