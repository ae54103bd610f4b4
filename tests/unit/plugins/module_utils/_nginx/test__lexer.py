# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.sre.bad_gateway.plugins.module_utils._nginx._lexer import LexError, Token, lex

WORDS = {
    "words and a terminator": (b"listen 80;", ["listen", "80", ";"]),
    "block": (b"a { b; }", ["a", "{", "b", ";", "}"]),
    "no blanks needed": (b"a{b c;}", ["a", "{", "b", "c", ";", "}"]),
    "a comment ends with its line, a backslash does not prolong it": (b"a b; # c\\\nd;", ["a", "b", ";", "d", ";"]),
    "a comment starts only where a word may": (b"a b#c;", ["a", "b#c", ";"]),
    "comment between arguments": (b"a # b;\n c;", ["a", "c", ";"]),
    "quotes come off": (b"a \"b ; c\" 'd } e';", ["a", "b ; c", "d } e", ";"]),
    "a quote inside a word is a letter": (b'a b"c d;', ["a", 'b"c', "d", ";"]),
    "an escaped quote": (rb'a "b\"c";', ["a", 'b"c', ";"]),
    "other escapes stay": (rb"a ~\.php$ '\d' \;;", ["a", r"~\.php$", r"\d", r"\;", ";"]),
    "the empty word": (b"'' a;", ["", "a", ";"]),
    "variables take braces": (b"a ${b}c ${d} e;", ["a", "${b}c", "${d}", "e", ";"]),
    "a brace ends a word without a dollar": (b"if ($a) {b;}", ["if", "($a)", "{", "b", ";", "}"]),
    "a closing brace inside a word": (b"a b}c;", ["a", "b}c", ";"]),
    "CRLF": (b"a\r\nb;\r\n", ["a", "b", ";"]),
    "a no-break space is no blank": (b"a\xc2\xa0b c;", ["a\xa0b", "c", ";"]),
    "a byte order mark belongs to the first word": (b"\xef\xbb\xbfa b;", ["\ufeffa", "b", ";"]),
    "Latin-1": (b"a caf\xe9;", ["a", "caf\udce9", ";"]),
    "Lua": (
        b"content_by_lua_block { x = '}' -- }\n y = {} } a;",
        ["content_by_lua_block", " x = '}' -- }\n y = {} ", ";", "a", ";"],
    ),
    "long brackets of Lua": (
        b"a_by_lua_block {[[ } ]] --[==[ } ]==] }",
        ["a_by_lua_block", "[[ } ]] --[==[ } ]==] ", ";"],
    ),
    "Lua with an argument": (b"set_by_lua_block $x { return '{' }", ["set_by_lua_block", "$x", " return '{' ", ";"]),
}


@pytest.mark.parametrize(("data", "words"), WORDS.values(), ids=WORDS.keys())
def test_words(data: bytes, words: list[str]) -> None:
    assert [token for token, _line, _quoted in lex(data, "x")] == words


REFUSED = {
    "no end": (b"a b", 'unexpected end of file, expecting ";" or "}" in x:1'),
    "open block": (b"a {\n b;\n", 'unexpected end of file, expecting "}" in x:3'),
    "open quote": (b"a 'b;\n", 'unexpected end of file, expecting ";" or "}" in x:2'),
    "lone semicolon": (b"\n;", 'unexpected ";" in x:2'),
    "nameless block": (b"{ }", 'unexpected "{" in x:1'),
    "one brace too many": (b"a;\n}", 'unexpected "}" in x:2'),
    "missing semicolon": (b"a {\n b\n}", 'unexpected "}" in x:3'),
    "no blank after a quote": (b"a 'b'c;", 'unexpected "c" in x:1'),
    "open Lua": (b"a_by_lua_block { x = {} ", "unexpected end of file, expecting the end of the Lua block in x:1"),
}


@pytest.mark.parametrize(("data", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_refused_where_nginx_refuses(data: bytes, message: str) -> None:
    with pytest.raises(LexError) as raised:
        list(lex(data, "x"))
    assert str(raised.value) == message


def test_lines_are_those_where_words_start() -> None:
    found = [(token, line) for token, line, _quoted in lex(b"a\n'b\nc' # x\n d;\r\ne;", "x")]
    assert found == [("a", 1), ("b\nc", 2), ("d", 4), (";", 4), ("e", 5), (";", 5)]


VALUES = {r"a\"b": 'a"b', r"\\": "\\", r"\.": r"\.", r"a\tb\n": "a\tb\n", "plain": "plain"}


@pytest.mark.parametrize(("text", "value"), VALUES.items())
def test_value_is_what_nginx_reads(text: str, value: str) -> None:
    assert Token(text).value == value


def test_a_part_of_a_word_knows_its_place() -> None:
    data = "if (é$a = b) {}".encode()
    first, last = (token for token, _line, _quoted in lex(data, "x") if token.startswith("(") or token.endswith(")"))
    for part in (first[1:].lstrip(), last[:-1].rstrip()):
        assert isinstance(part, Token)
        assert data[part.start : part.end].decode() == part


plain = st.text(st.characters(blacklist_characters=" \t\r\n;{}\"'\\$#", blacklist_categories=["Cs"]), min_size=1)
anything = st.text(st.characters(blacklist_categories=["Cs"]))


def quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


words = st.one_of(plain, anything.map(quoted), plain.map(lambda name: "${" + name + "}"))
gaps = st.sampled_from([" ", "\t", "\n", "\r\n", " # a { comment; \\\n"])


@given(st.lists(st.tuples(words, gaps), min_size=1))
def test_every_span_holds_its_word(pairs: list[tuple[str, str]]) -> None:
    data = ("".join(word + gap for word, gap in pairs) + ";").encode()
    tokens = [token for token, _line, _quoted in lex(data, "x")][:-1]
    assert [data[token.start : token.end].decode() for token in tokens] == [word for word, _gap in pairs]
    assert [token.line for token in tokens] == [data.count(b"\n", 0, token.start) + 1 for token in tokens]


@given(st.lists(anything, min_size=1))
def test_quoting_keeps_the_value(values: list[str]) -> None:
    data = (" ".join(map(quoted, values)) + ";").encode()
    assert [token.value for token, _line, _quoted in lex(data, "x")][:-1] == values


@given(st.binary())
def test_any_bytes_give_words_or_a_refusal(data: bytes) -> None:
    try:
        tokens = [token for token, _line, _quoted in lex(data, "x")]
    except LexError as error:
        assert 1 <= error.line <= data.count(b"\n") + 1
    else:
        assert all(before.end <= after.start for before, after in zip(tokens, tokens[1:]))
