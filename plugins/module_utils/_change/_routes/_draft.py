# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The configuration of one nginx as it shall be: files are opened where they change, no other is looked at twice."""

from __future__ import annotations

from collections import defaultdict
from functools import cached_property
from typing import Iterator, Mapping, Sequence

from ansible_collections.sre.bad_gateway.plugins.module_utils._change._errors import ConfigError, RouteError
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._routes._document import Document
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._routes._node import Node, quoted
from ansible_collections.sre.bad_gateway.plugins.module_utils._nginx._config import Config, Directive, walk
from ansible_collections.sre.bad_gateway.plugins.module_utils._nginx._lexer import shown
from ansible_collections.sre.bad_gateway.plugins.module_utils._nginx._routes import Pass, passes
from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import ConfigMessage

LEVELS = ("location", "server", "http")  # that take settings of a route; an `if` takes none

_MAPS = ("map", "split_clients", "geo")


class Draft:
    """Every change goes through here, so that it is known which statements were touched."""

    def __init__(self, config: Config, *, version: tuple[int, ...] = (), plus: bool = False) -> None:
        self.config = config
        self.version = version  # of nginx; empty when it is not known
        self.plus = plus  # the nginx that is sold
        self.warnings: list[str] = []  # what was asked for and is not so, or could not be judged
        self.passes: list[Pass] = passes(config)
        self._touched: list[Node] = []  # by the entry: statements that were changed, or next to which one was put
        self._entry = 0  # which of the entries is being applied
        self._entries: dict[int, int] = {}  # by id() of a statement: the entry that changed it
        self._documents: dict[str, Document] = {}
        blocks = [child for http in config.directives if http.name == "http" for child in http.block or ()]
        self._blocks = {
            _block_key(child.name.value, child.args[-1].value, child.file): child
            for child in reversed(blocks)  # of several with one name the first counts
            if child.name in ("upstream", "map") and child.args
        }
        self._new_blocks: dict[tuple[str, str, str], Node] = {}
        self._levels: dict[int, dict[str, list[Directive]]] = {}

    def begin(self, entry: int) -> None:
        """What changes from now on, this entry asked for."""
        self._entry = entry
        self._touched = []

    def touched_routes(self) -> list[Pass]:
        """The routes whose `*_pass` or own level the entry touched."""
        return self._reached(self._at)

    def touched_users(self) -> list[Pass]:
        """The routes that go through an upstream block which the entry touched."""
        return self._reached(self._behind)

    def sharing(self, one: Pass) -> Sequence[Pass]:
        """The routes that a statement serves: its file may be included in several servers."""
        return self._at[_place(one.directive)]

    def _reached(self, index: Mapping[tuple[str, int], Sequence[Pass]]) -> list[Pass]:
        places = [(node.place.file, node.place.start) for node in self._touched if node.place is not None]
        return list({id(one): one for place in places for one in index.get(place, ())}.values())

    @cached_property
    def _at(self) -> dict[tuple[str, int], list[Pass]]:
        """By place of a statement: the routes that it is the `*_pass` of, or that it is a setting of."""
        found: dict[tuple[str, int], list[Pass]] = defaultdict(list)
        for one in self.passes:
            level = next(level for level in reversed(one.levels) if level.name in LEVELS)
            for place in {_place(one.directive), *(_place(child) for child in level.block or ())}:
                found[place].append(one)
        return found

    @cached_property
    def _behind(self) -> dict[tuple[str, int], list[Pass]]:
        """By place of an upstream block or of a statement in it: the routes that go through it."""
        found: dict[tuple[str, int], list[Pass]] = defaultdict(list)
        for one in self.passes:
            if one.group is not None:
                group = one.group.directive
                for place in {_place(group), *(_place(child) for child in group.block or ())}:
                    found[place].append(one)
        return found

    def node(self, directive: Directive) -> Node:
        """A statement to look at closely, or to change."""
        return self._document(directive.file).at(directive.name.start)

    def statements(self, level: Directive, *names: str) -> list[Node]:
        """The statements of a level with these names: its own, then those of the files included there."""
        read = self._named(level)
        standing = [self.node(child) for name in names for child in read.get(name, ()) if child.file != level.file]
        if level.file in self._documents:
            own = [node for node in self.node(level).children if node.name in names]
        else:
            own = [self.node(child) for name in names for child in read.get(name, ()) if child.file == level.file]
        # What is put on the level of `http` are blocks, and http_block() finds those.
        files = {child.file for child in level.block or ()} - {level.file} if level.name != "http" else set()
        for file in sorted(files & set(self._documents)):
            standing += [node for node in self._documents[file].nodes if node.place is None and node.name in names]
        return [*own, *(node for node in standing if not node.removed)]

    def _named(self, level: Directive) -> dict[str, list[Directive]]:
        """The statements of a level as they were read, by name; looked up often, and some levels hold thousands."""
        if id(level) not in self._levels:
            found: dict[str, list[Directive]] = defaultdict(list)
            for child in level.block or ():
                found[child.name.value].append(child)
            self._levels[id(level)] = found
        return self._levels[id(level)]

    def http_block(self, kind: str, name: str, *, file: str = "") -> Node | None:
        """The `upstream` of this name, whose case does not matter, or the `map` of this name in the file."""
        key = _block_key(kind, name, file)
        if key in self._new_blocks:
            return self._new_blocks[key]
        if key not in self._blocks:
            return None
        node = self.node(self._blocks[key])
        return None if node.removed else node

    def maps(self, name: str) -> dict[str, Node]:
        """The `map` of this name in each file that has one."""
        files = [key[2] for key in {**self._blocks, **self._new_blocks} if key[:2] == ("map", name)]
        found = {file: self.http_block("map", name, file=file) for file in files}
        return {file: node for file, node in found.items() if node is not None}

    def add_http_block(self, node: Node, *, ahead_of: Node, file: str = "") -> None:
        self.insert_ahead(node, ahead_of)
        self._new_blocks[_block_key(node.name, node.args[-1], file)] = node

    def remove_http_block(self, node: Node) -> None:
        self.remove(node)
        self._new_blocks = {key: block for key, block in self._new_blocks.items() if block is not node}

    def join_group(self, one: Pass, group: Node) -> None:
        """Note that a route goes through a block from now on."""
        self._users[group.args[0].lower()].add(_place(one.directive))

    def leave_group(self, one: Pass, group: Node) -> None:
        """Note that a route goes through a block no more. The block goes with the last of its routes."""
        key = group.args[0].lower()
        self._users[key].discard(_place(one.directive))
        if not self._users[key] and key not in self._mentioned:
            self.remove_http_block(group)

    @cached_property
    def hosts(self) -> set[str]:
        """The names of hosts that routes lead to."""
        return {one.address.host.lower() for one in self.passes if one.address is not None and one.address.host}

    @cached_property
    def _users(self) -> dict[str, set[tuple[str, int]]]:
        """The `*_pass` statements that go through each upstream block."""
        found: dict[str, set[tuple[str, int]]] = defaultdict(set)
        for one in self.passes:
            if one.group is not None:
                found[one.group.name.lower()].add(_place(one.directive))
        return found

    @cached_property
    def _mentioned(self) -> set[str]:
        """Values of variables: they can be the names of upstream blocks."""
        found: set[str] = set()
        for directive in walk(self.config.directives):
            given = directive.block or () if directive.name in _MAPS else [directive] if directive.name == "set" else ()
            found.update(one.args[-1].value.lower() for one in given if one.args)
        return found

    def add_child(self, node: Node, parent: Node, *, behind: Node | None = None, first: bool = False) -> None:
        """Put a new statement into a block: behind one of its statements, before all, or behind all."""
        standing = parent.children
        if not standing:
            node.home = parent.block = [*(parent.block or ()), node]
            self._note(node, beside=parent)
        elif first:
            self.insert_ahead(node, standing[0])
        else:
            self.insert_behind(node, behind or standing[-1])

    def set_words(self, node: Node, *words: str) -> None:
        if node.words != list(words):
            self._require_agreement(node, words)
            node.words = list(words)
            self._note(node, beside=node)

    def insert_behind(self, node: Node, anchor: Node) -> None:
        """Put a new statement right behind another."""
        node.home = anchor.home
        anchor.home.insert(anchor.home.index(anchor) + 1, node)
        self._note(node, beside=anchor)

    def insert_ahead(self, node: Node, anchor: Node) -> None:
        """Put a new statement right before another."""
        node.home, node.ahead = anchor.home, True
        anchor.home.insert(anchor.home.index(anchor), node)
        self._note(node, beside=anchor)

    def remove(self, node: Node) -> None:
        if node.place is None:
            node.home.remove(node)
        node.removed = True
        self._note(node, beside=node)

    def results(self) -> dict[str, bytes]:
        """The new bytes of every file that changes."""
        found = {file: document.result() for file, document in self._documents.items()}
        return {file: data for file, data in found.items() if data != self.config.sources[file]}

    def changes(self) -> Iterator[str]:
        """What shall change, one line for each statement."""
        for file in sorted(self._documents):
            yield from self._documents[file].changes()

    def _note(self, node: Node, *, beside: Node) -> None:
        self._entries[id(node)] = self._entry
        self._touched.append(beside)

    def _require_agreement(self, node: Node, words: Sequence[str]) -> None:
        """Two entries may change one statement, but not the same word of it in two ways."""
        if self._entries.get(id(node), self._entry) == self._entry:
            return
        old = [word.value for word in node.place.words] if node.place is not None else []
        for index, (now, wanted) in enumerate(zip(node.words, words)):
            if now not in (wanted, *old[index : index + 1]):
                place = "" if node.place is None else shown(f"{node.place.file}:{node.place.line}: ")
                raise RouteError(
                    f"{place}two of the routes ask for different things in one statement: {node} and "
                    + " ".join(quoted(word) for word in words)
                )

    def _document(self, file: str) -> Document:
        if file not in self._documents:
            unreadable = [message for message in self.config.messages if message["file"] == shown(file)]
            if unreadable:
                raise ConfigError(
                    f"{told(unreadable[0])}; mend the file first, a file that cannot be read whole is not edited"
                )
            self._documents[file] = Document(file, self.config.sources[file])
        return self._documents[file]


def _block_key(kind: str, name: str, file: str) -> tuple[str, str, str]:
    """There is one upstream of a name; there may be a map of that name in every file."""
    return kind, name.lower(), file if kind == "map" else ""


def _place(directive: Directive) -> tuple[str, int]:
    return directive.file, directive.name.start


def told(message: ConfigMessage) -> str:
    place = message["file"] if message["line"] is None else f"{message['file']}:{message['line']}"
    return f"{place}: {message['message']}"
