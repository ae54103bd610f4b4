# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bytes that give way to others, and where the bytes of statements go: indented and ended as their surroundings are.

What inserting adds, removing takes out again, to the byte.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Iterable, Sequence

from ansible_collections.sre.bad_gateway.plugins.module_utils._change._routes._node import (
    Node,
    Place,
    in_line,
    in_lines,
    quoted,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._nginx._lexer import to_bytes, to_text

_REST_OF_LINE = re.compile(rb"[ \t]*(?:#[^\n]*?)?(?=\r?\n|\r?\Z)")
_BLANK_REST = re.compile(rb"[ \t]*(?=\r?\n|\r?\Z)")
_END_OF_LINE = re.compile(rb"\r?\n")
_COMMENT_LINE = re.compile(rb"[ \t]*#[^\n]*\n")


@dataclass(frozen=True)
class Splice:
    """Bytes `start` to `end` give way to `replacement`."""

    start: int
    end: int
    replacement: bytes


def spliced(source: bytes, splices: Iterable[Splice]) -> bytes:
    """Apply splices. Insertions at one place keep their order; what is taken out may overlap, nothing else may."""
    parts = []
    position = 0
    for splice in sorted(splices, key=lambda one: (one.start, one.end)):
        if splice.start < position and splice.replacement:
            raise ValueError(f"overlapping splices at byte {splice.start}")
        parts += [source[position : splice.start], splice.replacement]
        position = max(position, splice.end)
    return b"".join([*parts, source[position:]])


def replaced_words(source: bytes, place: Place, words: Sequence[str]) -> list[Splice]:
    """Other words for a statement: only those that differ are touched, and what was in quotes stays in them."""
    old = place.words
    found = [
        Splice(token.start, token.end, to_bytes(quoted(word, quote=chr(source[token.start]) if token.quoted else "")))
        for token, word in zip(old, words)
        if token.value != word
    ]
    if len(words) > len(old):
        added = "".join(" " + quoted(word) for word in words[len(old) :])
        found.append(Splice(old[-1].end, old[-1].end, to_bytes(added)))
    elif len(words) < len(old):
        found.append(Splice(old[len(words) - 1].end, old[-1].end, b""))
    return found


def inserted_behind(source: bytes, node: Node, anchor: Place) -> Splice:
    """A new statement after another: on a line of its own if that one has one, else in the same line."""
    rest = _REST_OF_LINE.match(source, anchor.end)
    begin = _line_start(source, anchor.start)
    if rest is None or not _begins_line(source, anchor.start):
        return Splice(anchor.end, anchor.end, b" " + to_bytes(in_line(node)))
    indent = to_text(source[begin : anchor.start])
    end = _line_end(source, rest.end())
    text = b"".join(end + to_bytes(line) for line in in_lines(node, indent=indent))
    return Splice(rest.end(), rest.end(), text)


def inserted_within(node: Node, opened: int) -> Splice:
    """A new statement in a block that holds none."""
    return Splice(opened, opened, b" " + to_bytes(in_line(node)))


def inserted_ahead(source: bytes, node: Node, anchor: Place, *, free: int) -> Splice:
    """A new statement before another and before the comment that belongs to that one; `free` is what precedes it."""
    if not _begins_line(source, anchor.start):
        return Splice(free, free, b" " + to_bytes(in_line(node)))
    begin = _line_start(source, anchor.start)
    indent = to_text(source[begin : anchor.start])
    end = _line_end(source, anchor.end)
    at = _above_comments(source, begin, free=free)
    lines = [*in_lines(node, indent=indent), *([""] if node.block is not None else [])]
    return Splice(at, at, b"".join(to_bytes(line) + end for line in lines))


def removal(source: bytes, place: Place, *, block: bool) -> Splice:
    """Take a statement out, with the line that is its own and the empty line that sets a block apart."""
    rest = _BLANK_REST.match(source, place.end)
    if rest is None or not _begins_line(source, place.start):
        before = source[: place.start]
        return Splice(len(before.rstrip(b" \t")), place.end, b"")
    begin = _line_start(source, place.start)
    after = _END_OF_LINE.match(source, rest.end())
    if after is None or (begin and not block):
        before = source[:begin]
        return Splice(begin - len(before) + len(_without_end(before)), rest.end(), b"")
    apart = _END_OF_LINE.match(source, after.end()) if block else None
    return Splice(begin, (apart or after).end(), b"")


def _line_start(source: bytes, position: int) -> int:
    return source.rfind(b"\n", 0, position) + 1


def _begins_line(source: bytes, position: int) -> bool:
    return not source[_line_start(source, position) : position].strip(b" \t")


def _line_end(source: bytes, position: int) -> bytes:
    """How the line at `position` ends, or how the first of the file does where that one is the last."""
    match = _END_OF_LINE.search(source, position) or _END_OF_LINE.search(source)
    return match[0] if match else b"\n"


def _without_end(lines: bytes) -> bytes:
    return lines[:-2] if lines.endswith(b"\r\n") else lines[:-1]


def _above_comments(source: bytes, begin: int, *, free: int) -> int:
    while begin:
        above = _line_start(source, begin - 1)
        if above < free or not _COMMENT_LINE.fullmatch(source, above, begin):
            break
        begin = above
    return begin
