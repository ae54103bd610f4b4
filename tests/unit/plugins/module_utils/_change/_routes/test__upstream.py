# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any, Callable

import pytest

from ansible_collections.sre.bad_gateway.plugins.module_utils._change._errors import RouteError

Shape = Callable[..., str]
ROUTE = {"location": "/"}


def site(inside: str, *, http: str = "", server: str = "") -> str:
    return f"http {{\n{http}    server {{\n{server}        location / {{\n{inside}        }}\n    }}\n}}\n"


def block(*lines: str) -> str:
    return "".join(f"    {line}\n" for line in lines) + "\n"


def inside(*lines: str) -> str:
    return "".join(f"            {line}\n" for line in lines)


# before, entry, nginx's version, the upstream block, the location
BROUGHT_IN: dict[str, tuple[str, dict[str, Any], tuple[int, ...], list[str], list[str]]] = {
    "what the address gave is written out": (
        "proxy_pass http://127.0.0.1:8000;",
        {},
        (1, 22, 1),
        ["    server 127.0.0.1:8000;"],
        [
            "proxy_pass http://app;",
            'proxy_set_header "Host" 127.0.0.1:8000;',
            'proxy_redirect "http://127.0.0.1:8000/" /;',
        ],
    ),
    "the URI part stays": (
        "proxy_pass http://unix:/run/x:/y/;",
        {},
        (1, 22, 1),
        ["    server unix:/run/x;"],
        [
            "proxy_pass http://app/y/;",
            'proxy_set_header "Host" localhost;',
            'proxy_redirect "http://unix:/run/x:/y/" /;',
        ],
    ),
    "keepalive takes HTTP/1.1 and no Connection header along": (
        "proxy_pass http://a:1; proxy_set_header Host $host;",
        {"keepalive": 8, "keepalive_timeout": "4s", "method": "least_conn", "zone": "app 64k"},
        (1, 22, 1),
        [
            "    zone app 64k;",
            "    least_conn;",
            "    server a:1;",
            "    keepalive 8;",
            "    keepalive_timeout 4s;",
        ],
        [
            'proxy_pass http://app; proxy_set_header Host $host; proxy_set_header "Connection" ""; '
            'proxy_http_version "1.1";',
        ],
    ),
    "from 1.29.7 on it takes nothing along": (
        "proxy_pass http://a:1; proxy_set_header Host $host;",
        {"keepalive": 0},
        (1, 29, 7),
        ["    server a:1;", "    keepalive 0;"],
        ["proxy_pass http://app; proxy_set_header Host $host;"],
    ),
    "FastCGI has its own way": (
        "fastcgi_pass unix:/x;",
        {"keepalive": 8},
        (1, 22, 1),
        ["    server unix:/x;", "    keepalive 8;"],
        ["fastcgi_pass app;", 'fastcgi_keep_conn "on";'],
    ),
    "a websocket's Connection header stays": (
        "proxy_pass http://a:1; proxy_set_header Connection $upgrade; proxy_set_header Host a; proxy_http_version 1.1;",
        {"keepalive": 8},
        (1, 22, 1),
        ["    server a:1;", "    keepalive 8;"],
        [
            "proxy_pass http://app; proxy_set_header Connection $upgrade; proxy_set_header Host a; "
            "proxy_http_version 1.1;"
        ],
    ),
    "the default port of https is not that of a server": (
        "proxy_pass https://a.example; proxy_set_header Host a; proxy_ssl_server_name on;",
        {},
        (1, 22, 1),
        ['    server "a.example:443";'],
        [
            'proxy_pass https://app; proxy_set_header Host a; proxy_ssl_server_name on; proxy_ssl_name "a.example";',
        ],
    ),
    "servers and their parameters": (
        "uwsgi_pass 10.0.0.1:1;",
        {
            "servers": [
                {"address": "10.0.0.1:1"},
                {"address": "10.0.0.2", "parameters": {"backup": True, "weight": 2}},
            ],
            "server_parameters": {"max_fails": 3},
        },
        (1, 22, 1),
        ["    server 10.0.0.1:1 max_fails=3;", "    server 10.0.0.2 backup weight=2 max_fails=3;"],
        ["uwsgi_pass app;"],
    ),
}


@pytest.mark.parametrize(
    ("before", "wanted", "version", "servers", "after"), BROUGHT_IN.values(), ids=BROUGHT_IN.keys()
)
def test_a_block_comes_in_and_goes_again(
    shape: Shape,
    before: str,
    wanted: dict[str, Any],
    version: tuple[int, ...],
    servers: list[str],
    after: list[str],
) -> None:
    text = site(inside(before))
    entry = {**ROUTE, "upstream": {"name": "app", **wanted}}
    done = shape(text, entry, version=version)
    assert done == site(inside(*after), http=block("upstream app {", *servers, "}"))
    assert shape(done, entry, version=version) == done
    address = {"pass_to": "10.0.0.1:1"} if "servers" in wanted else {}
    assert shape(done, {**entry, **address, "state": "absent"}, version=version) == text


REFUSED: dict[str, tuple[str, str, dict[str, Any], str]] = {
    "keepalive 0 is an error before 1.29.7": ("proxy_pass http://a:1;", "", {"name": "g", "keepalive": 0}, "1.29.7"),
    "no name": ("proxy_pass http://a:1;", "", {"keepalive": 1}, "name the one to bring in"),
    "a name that is taken": (
        "proxy_pass http://a:1;",
        "upstream G { server b:2; }",
        {"name": "g"},
        r"the name is taken by .*nginx\.conf:2, with the servers b:2",
    ),
    "another name": ("proxy_pass http://g;", "upstream g { server a:1; }", {"name": "h"}, "upstream g, not h"),
    "the name of a host": ("proxy_pass http://a:1;", "", {"name": "A"}, "a host of that name"),
    "no protocol for keepalive": ("uwsgi_pass a:1;", "", {"name": "g", "keepalive": 1}, "cannot be kept over uwsgi"),
    "variables": ("proxy_pass http://a:1$request_uri;", "", {"name": "g"}, "holds variables"),
    "no name at all": ("proxy_pass http://a:1;", "", {"name": "g; }"}, "a name has letters"),
    "a method that is none": ("proxy_pass http://a:1;", "", {"name": "g", "method": "server b:1"}, "is none of"),
    "more than a method": (
        "proxy_pass http://a:1;",
        "",
        {"name": "g", "method": "ip_hash; }"},
        "cannot be read as arguments",
    ),
    "a parameter that is none": (
        "proxy_pass http://a:1;",
        "",
        {"name": "g", "server_parameters": {"weight=1; x": 1}},
        "small letters",
    ),
    "a line break": (
        "proxy_pass http://a:1;",
        "",
        {"name": "g", "server_parameters": {"weight": "1\n;"}},
        "line breaks",
    ),
    "a server that is none": (
        "proxy_pass http://a:1;",
        "",
        {"name": "g", "servers": [{"address": "a:1;"}]},
        "^servers 'a:1;'",
    ),
}


@pytest.mark.parametrize(("before", "http", "wanted", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_refused(shape: Shape, before: str, http: str, wanted: dict[str, Any], message: str) -> None:
    text = site(inside(before), http=f"{http}\n")
    with pytest.raises(RouteError, match=message):
        shape(text, {**ROUTE, "upstream": wanted})


def test_the_block_of_a_route_is_changed_and_the_method_goes_before_keepalive(shape: Shape) -> None:
    text = (
        "http {\nupstream g {\n\t# all\n\tserver a:1 weight=2;\n\tkeepalive 4;\n}\n"
        "server { location / { proxy_pass http://g; } }\n}\n"
    )
    wanted = {"method": "hash $request_uri consistent", "server_parameters": {"max_fails": 1, "weight": None}}
    entry = {**ROUTE, "upstream": {**wanted, "keepalive_timeout": "4s"}}
    assert shape(text, entry) == (
        "http {\nupstream g {\n\thash $request_uri consistent;\n\t# all\n\tserver a:1 max_fails=1;\n\tkeepalive 4;\n"
        "\tkeepalive_timeout 4s;\n}\nserver { location / { proxy_pass http://g; } }\n}\n"
    )


TWO = "http {\nserver { location / { fastcgi_pass a:1; } location /x { fastcgi_pass a:1; } }\n}"


def test_two_routes_share_a_block_and_the_last_takes_it_along(shape: Shape) -> None:
    both = [{"location": location, "upstream": {"name": "g"}} for location in ("/", "/x")]
    done = shape(TWO, *both)
    assert done.count("upstream g") == 1
    assert done.count("fastcgi_pass g;") == 2
    one = shape(done, {**both[0], "state": "absent"})
    assert one.count("upstream g") == 1
    assert shape(one, {**both[1], "state": "absent"}) == TWO


def test_a_block_that_a_variable_may_name_stays(shape: Shape) -> None:
    text = site(inside("fastcgi_pass a:1;"), server="        set $backend g;\n")
    entry = {**ROUTE, "upstream": {"name": "g"}}
    assert "upstream g {" in shape(shape(text, entry), {**entry, "state": "absent"})


def test_several_servers_leave_no_single_address_to_go_back_to(shape: Shape) -> None:
    text = site(inside("proxy_pass http://g;"), http="    upstream g { server a:1; server b:2; }\n")
    with pytest.raises(RouteError, match=r"say with pass_to which one.*a:1, b:2"):
        shape(text, {**ROUTE, "state": "absent", "upstream": {"name": "g"}})
