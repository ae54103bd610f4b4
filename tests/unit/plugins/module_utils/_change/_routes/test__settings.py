# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any, Callable

import pytest

from ansible_collections.sre.bad_gateway.plugins.module_utils._change._errors import ConfigError, RouteError

Shape = Callable[..., str]
ROUTE = {"location": "/"}
SITE = "http {{\n    {}\n    server {{\n        location / {{\n            {}\n        }}\n    }}\n}}\n"


def in_site(*lines: str, http: str = "") -> str:
    return SITE.format(http, "\n            ".join(lines))


SETTINGS: dict[str, tuple[str, str, dict[str, Any], list[str]]] = {
    "timeouts": (
        "",
        "grpc_pass grpc://a:1;",
        {"timeouts": {"connect": "5s", "read": "1m 30s"}},
        ["grpc_pass grpc://a:1;", "grpc_connect_timeout 5s;", 'grpc_read_timeout "1m 30s";'],
    ),
    "what is inherited is not repeated": (
        "proxy_read_timeout 5s;",
        "proxy_pass http://a:1;",
        {"timeouts": {"read": "5s"}},
        ["proxy_pass http://a:1;"],
    ),
    "buffers go together": (
        "",
        "uwsgi_pass a:1;",
        {"buffer_size": "16k"},
        ["uwsgi_pass a:1;", "uwsgi_buffer_size 16k;", "uwsgi_buffers 8 16k;", "uwsgi_busy_buffers_size 32k;"],
    ),
    "gRPC has one buffer": ("", "grpc_pass a:1;", {"buffer_size": "16k"}, ["grpc_pass a:1;", "grpc_buffer_size 16k;"]),
    "next upstream": (
        "",
        "scgi_pass a:1;",
        {"next_upstream": ["error", "timeout"]},
        ["scgi_pass a:1;", "scgi_next_upstream error timeout;"],
    ),
    "HTTP version": (
        "",
        "proxy_pass http://a:1;",
        {"http_version": "1.1"},
        ["proxy_pass http://a:1;", "proxy_http_version 1.1;"],
    ),
    "any directive, read as nginx reads it": (
        "",
        "proxy_pass http://a:1; # app",
        {
            "directives": {
                "proxy_bind": "$remote_addr transparent",
                "proxy_buffering": False,
                "root": ["/a b"],
                "etag": "'on'",
            }
        },
        [
            "proxy_pass http://a:1; # app",
            "proxy_bind $remote_addr transparent;",
            "proxy_buffering off;",
            "etag on;",
            'root "/a b";',
        ],
    ),
    "the first header brings the inherited ones": (
        "proxy_set_header Host $host; proxy_set_header X-Old 1;",
        "proxy_pass http://a:1;",
        {"headers": {"X-New": 'a"b; }', "x-old": "2"}},
        [
            "proxy_pass http://a:1;",
            r'proxy_set_header X-New "a\"b; }";',
            "proxy_set_header x-old 2;",
            'proxy_set_header "Host" $host;',
        ],
    ),
    "headers of uwsgi are parameters": (
        "",
        "uwsgi_pass a:1;",
        {"headers": {"X-Real-IP": "$remote_addr"}},
        ["uwsgi_pass a:1;", "uwsgi_param HTTP_X_REAL_IP $remote_addr;"],
    ),
    "an `if` takes no settings": (
        "",
        "if ($a) { proxy_pass http://a:1; }",
        {"timeouts": {"read": "5s"}},
        ["if ($a) { proxy_pass http://a:1; }", "proxy_read_timeout 5s;"],
    ),
}


@pytest.mark.parametrize(("http", "before", "wanted", "after"), SETTINGS.values(), ids=SETTINGS.keys())
def test_settings_come_and_go(shape: Shape, http: str, before: str, wanted: dict[str, Any], after: list[str]) -> None:
    text = in_site(before, http=http)
    done = shape(text, {**ROUTE, **wanted})
    assert done == in_site(*after, http=http)
    assert shape(done, {**ROUTE, **wanted}) == done
    assert shape(done, {**ROUTE, **wanted, "state": "absent"}) == text


def test_null_takes_one_out(shape: Shape) -> None:
    text = in_site("proxy_pass http://a:1;", "proxy_set_header A 1;", "proxy_set_header B 2;", "proxy_buffering off;")
    entry = {**ROUTE, "headers": {"a": None}, "directives": {"proxy_buffering": None}}
    assert shape(text, entry) == in_site("proxy_pass http://a:1;", "proxy_set_header B 2;")


def test_a_value_that_is_there_changes_in_place(shape: Shape) -> None:
    text = in_site("proxy_read_timeout  '5s' ; # slow", "proxy_set_header  A  1;", "proxy_pass http://a:1;")
    done = shape(text, {**ROUTE, "timeouts": {"read": "6s"}, "headers": {"A": "2"}})
    assert done == text.replace("'5s'", "'6s'").replace("A  1", "A  2")


HOSTILE: dict[str, tuple[dict[str, Any], str]] = {
    "a line break in a header": ({"headers": {"A": "1\r\nB: 2"}}, "line breaks"),
    "a header's name": ({"headers": {"A; }": "1"}}, "^header 'A; }'"),
    "a second statement": ({"directives": {"proxy_buffering": "off; return 403"}}, "more than the arguments"),
    "a block": ({"directives": {"root": "/ } server {"}}, "unexpected|more than"),
    "a comment": ({"directives": {"root": "/ # x"}}, "unexpected end|more than"),
    "an open quote": ({"directives": {"root": "'/"}}, "cannot be read"),
    "nothing": ({"directives": {"root": []}}, "no value"),
    "a directive's name": ({"directives": {"root /; x": "1"}}, "no name"),
    "no text": ({"directives": {"root": ""}}, "cannot be read"),
    "what can stand several times": ({"directives": {"add_header": "A 1"}}, "several times"),
    "a target by another way": ({"directives": {"proxy_pass": "http://b"}}, "use pass_to"),
    "headers by another way": ({"directives": {"proxy_set_header": "A 1"}}, "use headers"),
    "a time": ({"timeouts": {"read": "5s; return 403"}}, "no time"),
    "a size": ({"buffer_size": "0"}, "no size"),
    "a condition with a line break": ({"next_upstream": ["error\n;"]}, "^next_upstream: .*line breaks"),
    "nothing asked for": ({}, "nothing is asked for"),
    "an address cannot be taken back": ({"state": "absent", "pass_to": "a:1"}, "cannot be taken back"),
}


@pytest.mark.parametrize(("wanted", "message"), HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_values_are_refused(shape: Shape, wanted: dict[str, Any], message: str) -> None:
    with pytest.raises(RouteError, match=message):
        shape(in_site("proxy_pass http://a:1;"), {**ROUTE, **wanted})


@pytest.mark.parametrize("value", ["$(reboot)", "a;b", "{}", "'", '"', "\\", "#", "${host}x", "caf\u00e9", ""])
def test_any_other_value_is_quoted_right(shape: Shape, value: str) -> None:
    text = in_site("proxy_pass http://a:1;")
    entry = {**ROUTE, "headers": {"A": value}}
    done = shape(text, entry)
    assert shape(done, entry) == done != text  # what was written reads as what was asked for


SURROUNDINGS = {
    "tabs and CRLF": (
        "http {\r\n\tserver {\r\n\t\tlocation / {\r\n\t\t\tproxy_pass http://a:1;\t# caf\xe9\r\n\t\t}\r\n\t}\r\n}",
        "\t# caf\xe9",
        "\t# caf\xe9\r\n\t\t\tproxy_read_timeout 5s;",
    ),
    "one line": ("http{server{location /{proxy_pass http://a:1;}}}", "a:1;", "a:1; proxy_read_timeout 5s;"),
    "behind the brace": (
        "http {\nserver {\nlocation / { proxy_pass http://a:1; # x\n}}}",
        "a:1;",
        "a:1; proxy_read_timeout 5s;",
    ),
    "Lua": (
        "http { server { location / { access_by_lua_block { x = '}' }\nproxy_pass http://a:1;\n} } }",
        "a:1;",
        "a:1;\nproxy_read_timeout 5s;",
    ),
}


@pytest.mark.parametrize(("text", "old", "new"), SURROUNDINGS.values(), ids=SURROUNDINGS.keys())
def test_a_new_line_looks_like_its_neighbours(shape: Shape, text: str, old: str, new: str) -> None:
    entry = {**ROUTE, "timeouts": {"read": "5s"}}
    assert shape(text, entry) == text.replace(old, new)
    assert shape(text.replace(old, new), {**entry, "state": "absent"}) == text


SNIPPET = "http { server { server_name a; include s; } server { server_name b; include s; } }"


def test_a_snippet_of_many_is_changed_only_with_leave(shape: Shape) -> None:
    snippet = "location / { proxy_pass http://a:1; }"
    entry = {"server_name": "a", "pass_to": "b:2"}
    with pytest.raises(RouteError, match=r"^server_name a: the statements serve 2 routes, of a, b: a / .*allow_shared"):
        shape(SNIPPET, entry, s=snippet)
    assert shape(SNIPPET, {**entry, "allow_shared": True}, s=snippet) == SNIPPET


def test_two_entries_may_not_ask_for_different_things(shape: Shape) -> None:
    wanted = [{**ROUTE, "timeouts": {"read": time}} for time in ("5s", "6s")]
    with pytest.raises(RouteError, match="two of the routes ask for different things"):
        shape(in_site("proxy_pass http://a:1;"), *wanted)


def test_a_file_that_includes_itself_is_refused(shape: Shape) -> None:
    with pytest.raises(ConfigError, match="includes itself"):
        shape(
            "http { server { include s; } }",
            {**ROUTE, "pass_to": "b:1"},
            s="include s; location / { proxy_pass http://a:1; }",
        )
