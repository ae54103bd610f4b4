# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One file as statements that can be changed, and the proof that its new bytes say what was meant and no more."""

from __future__ import annotations

from typing import Iterator, Sequence

from ansible_collections.sre.bad_gateway.plugins.module_utils._change._errors import ConfigError
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._routes._node import Node, Place
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._routes._splice import (
    Splice,
    inserted_ahead,
    inserted_behind,
    inserted_within,
    removal,
    replaced_words,
    spliced,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._nginx._lexer import LexError, Token, lex, shown


class Document:
    """A file that changes; ConfigError when it cannot be read whole."""

    def __init__(self, file: str, source: bytes) -> None:
        self.file = file
        self.source = source
        try:
            self.nodes = _parsed(source, file)
        except LexError as error:
            raise ConfigError(
                f"{shown(file)}:{error.line}: {error.reason}; mend the file first, "
                "a file that cannot be read whole is not edited"
            ) from error
        self._by_start = {node.place.start: node for node in _all(self.nodes) if node.place is not None}

    def at(self, start: int) -> Node:
        """The statement that starts at this byte."""
        return self._by_start[start]

    def changes(self) -> list[str]:
        """What shall change, one line for each statement."""
        return [shown(f"{self.file}:{line}: {what}") for line, what in _told(self.nodes, line=1)]

    def result(self) -> bytes:
        """The new bytes; ConfigError unless reading them again gives exactly what was meant."""
        splices = list(_splices(self.source, self.nodes, opened=0))
        if not splices:
            return self.source
        result = spliced(self.source, splices)
        require_same(result, self.nodes, file=self.file)
        return result


def require_same(data: bytes, nodes: Sequence[Node], *, file: str) -> None:
    """ConfigError unless `data` reads as these statements, and as no others."""
    try:
        read = [node.shape for node in _parsed(data, file)]
    except LexError as error:
        raise ConfigError(f"{shown(file)}: the edited file could not be read again; nothing was written") from error
    if read != [node.shape for node in nodes if not node.removed]:
        raise ConfigError(f"{shown(file)}: the edit would change more than it should; nothing was written")


def _parsed(source: bytes, file: str) -> list[Node]:
    homes: list[list[Node]] = [[]]
    opened: list[tuple[list[Token], int]] = []
    words: list[Token] = []
    for word, _line, quoted in lex(source, file):
        if quoted or word not in ("{", "}", ";"):
            words.append(word)
            continue
        if word == "{":
            opened.append((words, word.end))
            homes.append([])
        elif word == ";":
            homes[-1].append(_node(file, words, end=word.end, home=homes[-1]))
        else:
            block = homes.pop()
            words, start = opened.pop()
            homes[-1].append(_node(file, words, end=word.end, home=homes[-1], opened=start, block=block))
        words = []
    return homes[0]


def _node(
    file: str,
    words: Sequence[Token],
    *,
    end: int,
    home: list[Node],
    opened: int | None = None,
    block: list[Node] | None = None,
) -> Node:
    place = Place(file=file, words=tuple(words), opened=opened, end=end)
    return Node(words=[word.value for word in words], block=block, place=place, home=home)


def _all(nodes: Sequence[Node]) -> Iterator[Node]:
    for node in nodes:
        yield node
        yield from _all(node.block or ())


def _splices(source: bytes, nodes: Sequence[Node], *, opened: int) -> Iterator[Splice]:
    """Of a block or a file; `opened` is where it begins."""
    for index, node in enumerate(nodes):
        if node.place is None:
            yield _insertion(source, node, before=nodes[:index], after=nodes[index + 1 :], opened=opened)
        elif node.removed:
            yield removal(source, node.place, block=node.block is not None)
        else:
            yield from replaced_words(source, node.place, node.words)
            yield from _splices(source, node.block or (), opened=node.place.opened or 0)


def _insertion(source: bytes, node: Node, *, before: Sequence[Node], after: Sequence[Node], opened: int) -> Splice:
    above = [one.place for one in before if one.place is not None]
    kept = [one.place for one in before if one.place is not None and not one.removed]
    below = [one.place for one in after if one.place is not None]
    if node.ahead and below:
        return inserted_ahead(source, node, below[0], free=above[-1].end if above else opened)
    if above:
        return inserted_behind(source, node, (kept or above)[-1])
    return inserted_within(node, opened)


def _told(nodes: Sequence[Node], *, line: int) -> Iterator[tuple[int, str]]:
    for node in nodes:
        line = node.place.line if node.place is not None else line
        if node.place is None:
            yield line, f"+ {node}"
        elif node.removed:
            yield line, f"- {node}"
        else:
            old = [word.value for word in node.place.words]
            if old != node.words:
                yield line, _difference(old, node.words)
            yield from _told(node.block or (), line=line)


def _difference(old: Sequence[str], new: Sequence[str]) -> str:
    """Only the words that differ, from the first to the last of them."""
    first = next(index for index, pair in enumerate(zip([*old, None], [*new, None])) if pair[0] != pair[1])
    last = 0
    while last < min(len(old), len(new)) - first and old[-1 - last] == new[-1 - last]:
        last += 1
    words = old[first : len(old) - last], new[first : len(new) - last]
    return " -> ".join(" ".join(part) or "nothing" for part in words)
