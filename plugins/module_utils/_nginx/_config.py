# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One nginx's configuration as a tree in which every word knows its file and place.

crossplane's parser builds the tree and follows the includes; our own lexer feeds it.
"""

from __future__ import annotations

import gc
import glob
import os
from contextlib import contextmanager
from types import FunctionType
from typing import TYPE_CHECKING, Any, Dict, Iterable, Iterator, Mapping, NamedTuple, Sequence, Tuple, cast

from ansible_collections.sre.bad_gateway.plugins.module_utils._nginx._lexer import LexError, Token, lex, shown

if TYPE_CHECKING:
    from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import ConfigMessage

_Lexed = Tuple[Token, int, bool]  # (token, line, quoted), as crossplane's parser takes it


class Directive(NamedTuple):  # as there can be a hundred thousand of them
    """One statement. `args` of an `if` are without its parentheses; the body of a Lua block is its last argument."""

    name: Token
    args: tuple[Token, ...]
    file: str
    line: int
    block: tuple[Directive, ...] | None = None  # None: not a block; included statements stand in place


class Config(NamedTuple):
    main: str  # absolute path
    prefix: str
    directives: tuple[Directive, ...]
    files: tuple[str, ...]  # in the order of reading
    sources: Mapping[str, bytes]  # what was read; spans count in these bytes
    messages: tuple[ConfigMessage, ...] = ()  # what could not be read

    @property
    def whole(self) -> bool:
        return not self.messages


def read_config(main: str, *, prefix: str, overlay: Mapping[str, bytes] | None = None) -> Config:
    """Read `main` (relative to `prefix`, as nginx takes it) and all that it includes; never raise for what is there.

    `overlay` gives the contents of files that shall be read as if they had been written already.
    """
    prefix = os.path.abspath(prefix)  # noqa: PTH100 - no symlink may be resolved: nginx names files as written
    reading = _Reading(overlay or {})
    with _nothing_thrown_away():
        payload = _parse(os.path.join(prefix, main), reading)  # noqa: PTH118
        for error in payload["errors"]:
            reading.say(str(error["error"]), file=error["file"], line=error["line"])
        tree = _Tree(payload["config"], reading)
        return Config(
            main=payload["config"][0]["file"],
            prefix=prefix,
            directives=tree.of_file(0),
            files=tuple(parsed["file"] for parsed in payload["config"]),
            sources=reading.sources,
            messages=tuple(reading.messages),
        )


@contextmanager
def _nothing_thrown_away() -> Iterator[None]:
    """All that is made here is kept: to look for cycles in it again and again would take as long as the reading."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def walk(directives: Iterable[Directive]) -> Iterator[Directive]:
    """Every statement of a tree, outer ones first."""
    for directive in directives:
        yield directive
        yield from walk(directive.block or ())


class _Reading:
    """Reads files for crossplane's parser and notes what goes wrong."""

    def __init__(self, overlay: Mapping[str, bytes]) -> None:
        self._overlay = overlay
        self.sources: dict[str, bytes] = {}
        self.messages: list[ConfigMessage] = []

    def say(self, message: str, *, file: str, line: int | None) -> None:
        self.messages.append({"level": "emerg", "message": shown(message), "file": shown(file), "line": line})

    def lex(self, file: str) -> Iterator[_Lexed]:
        """The tokens of `file`. What follows an error is left out, so that the whole statements before it stay."""
        lexed: list[_Lexed] = []
        try:
            for item in lex(self._bytes(file), file):
                lexed.append(item)  # one by one: what came before an error is wanted too
        except LexError as error:
            self.say(error.reason, file=file, line=error.line)
            return iter(_whole(lexed, end=error.line))
        except OSError as error:
            self.say(f"cannot be read: {error.strerror}", file=file, line=None)
        return iter(lexed)

    def _bytes(self, file: str) -> bytes:
        data = self._overlay.get(file)
        if data is None:
            with open(file, "rb") as stream:  # noqa: PTH123 - no Path for each of thousands
                data = stream.read()
        self.sources[file] = data
        return data


def _whole(lexed: Sequence[_Lexed], *, end: int) -> list[_Lexed]:
    """Those of whole statements, with the blocks closed that are open after them."""
    kept = depth = 0
    for number, (token, _line, quoted) in enumerate(lexed, start=1):
        if token in ("{", "}", ";") and not quoted:
            kept = number
            depth += {"{": 1, "}": -1, ";": 0}[token]
    return [*lexed[:kept], *[(Token("}"), end, False)] * depth]


def _parse(main: str, reading: _Reading) -> dict[str, Any]:
    # crossplane reaches a managed host in the module's payload, so it can be imported only once that was unpacked.
    from crossplane import parser  # noqa: PLC0415

    # The parser looks `lex` up among its module's globals: give this one call globals of its own.
    parse = FunctionType(
        parser.parse.__code__, {**vars(parser), "lex": reading.lex}, "parse", parser.parse.__defaults__
    )
    # Checks of contexts and arguments would drop what this crossplane is too old to know.
    return cast(Dict[str, Any], parse(main, check_ctx=False, check_args=False))


class _Tree:
    """crossplane's payload as one tree: included files take the place of their `include`."""

    def __init__(self, parsed: list[dict[str, Any]], reading: _Reading) -> None:
        self._parsed = parsed
        self._reading = reading
        self._done: dict[int, tuple[Directive, ...]] = {}
        self._open: list[int] = []

    def of_file(self, index: int) -> tuple[Directive, ...]:
        if index not in self._done:
            self._open.append(index)
            parsed = self._parsed[index]
            self._done[index] = tuple(self._directives(parsed["parsed"], parsed["file"]))
            self._open.pop()
        return self._done[index]

    def _directives(self, statements: list[dict[str, Any]], file: str) -> Iterator[Directive]:
        for statement in statements:
            if "includes" in statement:
                yield from self._included(statement, file)
                continue
            block = statement.get("block")
            yield Directive(
                name=statement["directive"],
                args=tuple(statement["args"]),
                file=file,
                line=statement["line"],
                block=None if block is None else tuple(self._directives(block, file)),
            )

    def _included(self, statement: dict[str, Any], file: str) -> Iterator[Directive]:
        line = statement["line"]
        if not statement["includes"]:
            self._explain_nothing(statement["args"][0], file=file, line=line)
        for index in statement["includes"]:
            if index in self._open:
                self._reading.say(f"{self._parsed[index]['file']} includes itself", file=file, line=line)
            else:
                yield from self.of_file(index)

    def _explain_nothing(self, pattern: Token, *, file: str, line: int) -> None:
        """A pattern without a match is fine for nginx; one in a directory that cannot be listed hides files from us."""
        main = self._parsed[0]["file"]
        directory = os.path.dirname(os.path.join(os.path.dirname(main), pattern))  # noqa: PTH118, PTH120
        while glob.has_magic(directory):
            directory = os.path.dirname(directory)  # noqa: PTH120
        if os.path.isdir(directory) and not os.access(directory, os.R_OK | os.X_OK):  # noqa: PTH112
            self._reading.say(f"{directory} cannot be listed: Permission denied", file=file, line=line)
