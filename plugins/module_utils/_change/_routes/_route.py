# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A route in a draft: its levels, what is in force on it, and where its settings go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, Sequence

from ansible_collections.sre.bad_gateway.plugins.module_utils._change._routes._draft import LEVELS, Draft
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._routes._node import Node, new
from ansible_collections.sre.bad_gateway.plugins.module_utils._nginx._address import Target, split_target
from ansible_collections.sre.bad_gateway.plugins.module_utils._nginx._config import Directive
from ansible_collections.sre.bad_gateway.plugins.module_utils._nginx._lexer import shown
from ansible_collections.sre.bad_gateway.plugins.module_utils._nginx._routes import Pass


@dataclass(frozen=True)
class Route:
    """`level` is the location that the `*_pass` stands in, maybe inside an `if`, which takes no settings itself."""

    draft: Draft
    one: Pass

    @property
    def prefix(self) -> str:
        return str(self.one.directive.name)[: -len("_pass")]

    @property
    def where(self) -> str:
        return shown(f"{self.one.directive.file}:{self.one.directive.line}")

    @property
    def node(self) -> Node:
        return self.draft.node(self.one.directive)

    @property
    def target(self) -> Target:
        return split_target(str(self.one.directive.name), self.node.args[0])

    @property
    def level(self) -> Directive:
        return self.one.levels[self._depth]

    @property
    def anchor(self) -> Node:
        """The statement of the level that is the `*_pass` or holds it."""
        return self.draft.node((*self.one.levels, self.one.directive)[self._depth + 1])

    @property
    def _depth(self) -> int:
        """Of the innermost level that takes settings."""
        return max(index for index, level in enumerate(self.one.levels) if level.name in LEVELS)

    @property
    def server(self) -> Directive:
        return next(level for level in self.one.levels if level.name == "server")

    def own(self, *names: str) -> list[Node]:
        """The statements of these names at the route's own level."""
        return self.draft.statements(self.level, *names)

    def inherited(self, *names: str) -> list[Node]:
        """Those of the nearest outer level that has any."""
        for level in reversed(self.one.levels[: self._depth]):
            found = self.draft.statements(level, *names)
            if found:
                return found
        return []

    def in_force(self, *names: str) -> list[Node]:
        return self.own(*names) or self.inherited(*names)

    def value(self, name: str) -> str | None:
        """What one setting is in force with; None: nginx's own default."""
        found = self.in_force(name)
        return " ".join(found[0].args) if found else None

    def put(self, name: str, *args: str, along: bool = False) -> None:
        """Let a setting be in force on this route."""
        own = self.own(name)
        if own:
            self.draft.set_words(own[0], name, *args)
        elif [node.args for node in self.inherited(name)] != [list(args)]:
            self.add(new(name, *args, along=along))

    def take_back(self, name: str, *, along: bool = False) -> None:
        """Take a setting of the route's own level out, or only one that went along with another."""
        for node in self.own(name):
            if node.goes_along or not along:
                self.draft.remove(node)

    def add(self, node: Node, *, behind: Callable[[Node], bool] | None = None) -> None:
        """Put a new statement beside its like, or behind the `*_pass`."""
        wanted = behind or self._is_like
        like = [one for one in self.anchor.home if not one.removed and one.block is None and wanted(one)]
        self.draft.insert_behind(node, like[-1] if like else self.anchor)

    def _is_like(self, node: Node) -> bool:
        return node.name.startswith(f"{self.prefix}_")


def repeated(nodes: Sequence[Node]) -> list[Node]:
    """The same statements once more, for a level that would lose what it inherits."""
    return [new(*node.words, along=True) for node in nodes]
