# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""nginx's own token rules, on bytes, with the place of every token.

It stands in for crossplane's lexer, so it yields what crossplane's parser expects: (token, line, quoted). The text of
a token is what crossplane gives (quotes taken off, other escapes left); what nginx makes of it is `Token.value`.
Bytes that are not UTF-8 become surrogate escapes, so that they come back unchanged.
"""

from __future__ import annotations

import re
from typing import Any, Iterator, Match

_SPACE = b" \t\r\n"

# After a quoted word nginx wants one of these (a closing parenthesis then starts a word of its own).
_AFTER_QUOTE = _SPACE + b";{)"

# The five kinds of ngx_conf_read_token: a comment, quote or brace counts only where a word may start, and a dollar
# sign takes the braces that follow it into the word.
_TOKEN = re.compile(
    rb"""[ \t\r\n]*(?:
      (?P<special>[;{}])
    | (?P<word>(?![#}"'])(?:[^ \t\r\n;{\\$]+|\\.|\$\{*)+)
    | (?P<comment>\#[^\n]*)
    | "(?P<double>[^"\\]*(?:\\.[^"\\]*)*)"
    | '(?P<single>[^'\\]*(?:\\.[^'\\]*)*)'
    )""",
    re.VERBOSE | re.DOTALL,
)
_SPECIAL, _WORD, _COMMENT, _DOUBLE, _SINGLE = 1, 2, 3, 4, 5

# Where a brace is not a brace in Lua: comments and strings, short and long.
_LUA = re.compile(
    rb"""--\[(?P<c>=*)\[.*?\](?P=c)\] | --[^\n]* | \[(?P<s>=*)\[.*?\](?P=s)\]
    | "[^"\\]*(?:\\.[^"\\]*)*" | '[^'\\]*(?:\\.[^'\\]*)*' | (?P<brace>[{}])""",
    re.VERBOSE | re.DOTALL,
)

_ESCAPE_PAIR = r"(?s)\\(.)"
_ESCAPE = r"\\([\"'\\trn])"
_ESCAPED = {"t": "\t", "r": "\r", "n": "\n"}


class LexError(ValueError):
    """A file that nginx's token rules do not accept."""

    def __init__(self, reason: str, *, file: str, line: int) -> None:
        super().__init__(f"{reason} in {file}:{line}")
        self.reason = reason
        self.file = file
        self.line = line


class Token(str):
    """A word of a config file that knows where it stands: bytes `start` to `end`, quotes included."""

    __slots__ = ("end", "line", "quoted", "start")

    start: int
    end: int
    line: int
    quoted: bool

    @property
    def value(self) -> str:
        """What nginx reads: its escapes taken out."""
        return re.sub(_ESCAPE, lambda match: _ESCAPED.get(match[1], match[1]), self) if "\\" in self else str(self)

    # crossplane takes the parentheses off the arguments of `if` with these three; what is left keeps its place.

    def __getitem__(self, key: Any) -> str:
        part = str.__getitem__(self, key)
        if not isinstance(key, slice):
            return part
        first = key.indices(len(self))[0]
        start = self.start + self.quoted + len(to_bytes(str.__getitem__(self, slice(first))))
        return make_token(part, start=start, end=start + len(to_bytes(part)), line=self.line, quoted=False)

    def lstrip(self, chars: str | None = None, /) -> str:
        return self[len(self) - len(str.lstrip(self, chars)) :]

    def rstrip(self, chars: str | None = None, /) -> str:
        return self[: len(str.rstrip(self, chars))]


def to_text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def to_bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def shown(text: str) -> str:
    """Text that any JSON reader takes: bytes that are no UTF-8 become replacement characters."""
    return str(text) if text.isascii() else to_bytes(text).decode("utf-8", "replace")


def make_token(text: str, start: int, end: int, line: int, quoted: bool) -> Token:
    token = Token(text)
    token.start = start
    token.end = end
    token.line = line
    token.quoted = quoted
    return token


def lex(data: bytes, file: str) -> Iterator[tuple[Token, int, bool]]:
    """Yield every token of `data` as (token, line, quoted), comments left out; raise LexError where nginx would.

    The body of a `*_by_lua_block` is one quoted token, followed by a `;` that is not in the file.
    """
    position = counted = depth = 0
    line = 1
    name: Token | None = None  # of the statement that is being read
    match = _TOKEN.match(data)
    while match is not None:
        kind = match.lastindex or 0
        start, position = match.span(kind)
        line += data.count(b"\n", counted, start)
        counted = start
        if kind == _SPECIAL:
            special = match.group(kind).decode()
            depth += _depth_change(special, name, depth, file=file, line=line)
            if special == "{" and name is not None and name.endswith("_by_lua_block"):
                body = _lua_body(data, position, file=file, line=line)
                yield body, line, True
                start, position, special = body.end, body.end + 1, ";"
                depth -= 1
            yield make_token(special, start, position, line, False), line, False
            name = None
        elif kind != _COMMENT:
            if kind == _WORD:
                token = make_token(to_text(match.group(kind)), start, position, line, False)
            else:
                token = _quoted(data, match, file=file, line=line)
                position = token.end
            yield token, line, token.quoted
            name = token if name is None else name
        match = _TOKEN.match(data, position)
    if depth or name is not None or data[position:].strip(_SPACE):
        expected = '"}"' if depth and name is None else '";" or "}"'
        line += data.count(b"\n", counted)
        raise LexError(f"unexpected end of file, expecting {expected}", file=file, line=line)


def _depth_change(special: str, name: Token | None, depth: int, *, file: str, line: int) -> int:
    misplaced = name is not None or not depth if special == "}" else name is None
    if misplaced:
        raise LexError(f'unexpected "{special}"', file=file, line=line)
    return {"{": 1, "}": -1, ";": 0}[special]


def _quoted(data: bytes, match: Match[bytes], *, file: str, line: int) -> Token:
    kind = match.lastindex or 0
    start, end = match.start(kind) - 1, match.end(kind) + 1
    text = to_text(match.group(kind))
    after = data[end : end + 1]
    if after not in _AFTER_QUOTE:
        raise LexError(f'unexpected "{to_text(after)}"', file=file, line=line)
    quote = '"' if kind == _DOUBLE else "'"
    if "\\" in text:
        text = re.sub(_ESCAPE_PAIR, lambda pair: quote if pair[1] == quote else pair[0], text)
    return make_token(text, start=start, end=end, line=line, quoted=True)


def _lua_body(data: bytes, start: int, *, file: str, line: int) -> Token:
    depth = 1
    for match in _LUA.finditer(data, start):
        brace = match.group("brace")
        depth += {b"{": 1, b"}": -1}.get(brace, 0)
        if not depth:
            end = match.start()
            return make_token(to_text(data[start:end]), start=start, end=end, line=line, quoted=True)
    raise LexError("unexpected end of file, expecting the end of the Lua block", file=file, line=line)
