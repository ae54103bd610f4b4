# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.sre.bad_gateway.plugins.module_utils._change._errors import ChangeError, RouteError
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._routes_change import (
    Correction,
    affected,
    edits_for,
    matching,
    nearest,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._splice import edited
from ansible_collections.sre.bad_gateway.plugins.module_utils._nginx._config import Config, read_config


def config_of(directory: Path, text: str, **others: str) -> Config:
    (directory / "nginx.conf").write_bytes(text.encode("latin-1"))
    for name, other in others.items():
        (directory / name).write_text(other)
    return read_config("nginx.conf", prefix=str(directory))


def corrected(config: Config, **wanted: Any) -> bytes:
    correction = Correction(**wanted)
    new = edited(config, edits_for(config, matching(config, correction), correction))
    return new.get(config.main, config.sources[config.main])


TARGETS = {
    "port": ("proxy_pass http://127.0.0.1:8001;", "127.0.0.1:8000", "proxy_pass http://127.0.0.1:8000;"),
    "the URI stays": ("proxy_pass http://a:1/x/;", "[::1]:8000", "proxy_pass http://[::1]:8000/x/;"),
    "to a socket": ("proxy_pass http://a:1;", "unix:/run/x.sock", "proxy_pass http://unix:/run/x.sock;"),
    "to a socket, with URI": ("proxy_pass http://a:1/x/;", "unix:/run/x", "proxy_pass http://unix:/run/x:/x/;"),
    "from a socket, with URI": ("proxy_pass http://unix:/x:/y;", "a:1", "proxy_pass http://a:1/y;"),
    "from socket to socket": ("proxy_pass http://unix:/x:/y;", "unix:/z", "proxy_pass http://unix:/z:/y;"),
    "quotes stay": ("proxy_pass  'https://a:1/'  ;", "b:2", "proxy_pass  'https://b:2/'  ;"),
    "scheme as written": ("proxy_pass HTTP://a:1;", "b:2", "proxy_pass HTTP://b:2;"),
    "no scheme": ("uwsgi_pass a:1;", "unix:/b", "uwsgi_pass unix:/b;"),
    "grpc": ("grpc_pass grpcs://a:1;", "b:2", "grpc_pass grpcs://b:2;"),
    "right already": ("proxy_pass http://a:80/;", "a:80", "proxy_pass http://a:80/;"),
    "right already, port left out": ("proxy_pass http://a/;", "a:80", "proxy_pass http://a/;"),
}


@pytest.mark.parametrize(("before", "pass_to", "after"), TARGETS.values(), ids=TARGETS.keys())
def test_only_the_address_of_a_target_changes(tmp_path: Path, before: str, pass_to: str, after: str) -> None:
    text = "# caf\xe9\r\nhttp {{ server {{\r\n\tlocation / {{ {} }} # end\r\n}} }}"
    config = config_of(tmp_path, text.format(before))
    assert corrected(config, location="/", pass_to=pass_to) == text.format(after).encode("latin-1")


GROUP = (
    "http {{ upstream g {{ server {} ; server b:2 backup; }} server {{ location / {{ proxy_pass http://G/x; }} }} }}"
)


def test_through_an_upstream_block_its_server_changes(tmp_path: Path) -> None:
    config = config_of(tmp_path, GROUP.format("a:1 weight=2"))
    after = GROUP.format("unix:/x weight=2").encode()
    assert corrected(config, location="/", endpoint="tcp:a:1", pass_to="unix:/x") == after
    again = config_of(tmp_path, after.decode())
    assert corrected(again, location="/", endpoint="tcp:a:1", pass_to="unix:/x") == after


REFUSED: dict[str, tuple[str, dict[str, Any], str]] = {
    "several servers": (GROUP.format("a:1"), {"location": "/"}, "has 2 servers.*: tcp:a:1, tcp:b:2"),
    "no such server": (
        GROUP.format("a:1"),
        {"location": "/", "endpoint": "tcp:z:1"},
        "no server tcp:z:1, only tcp:a:1",
    ),
    "variables": (
        "http { server { location / { proxy_pass http://$a; } } }",
        {"location": "/"},
        r"nginx.conf:1: proxy_pass http://\$a holds variables",
    ),
    "another endpoint": (
        "http { server { location / { proxy_pass http://a:1; } } }",
        {"location": "/", "endpoint": "tcp:b:1"},
        "leads to tcp:a:1, not to tcp:b:1",
    ),
    "several routes": (
        "http { server { location / { proxy_pass http://a:1; }\n location /x { proxy_pass http://a:1; } } }",
        {"file": "nginx.conf"},
        r"2 routes fit.*_ / \(.*nginx.conf:1\); _ /x \(.*nginx.conf:2\)",
    ),
    "a file that cannot be read whole": (
        "http { server { location / { proxy_pass http://a:1; } } }\n}",
        {"location": "/"},
        'nginx.conf:2: unexpected "}"; mend the file first',
    ),
}


@pytest.mark.parametrize(("text", "selectors", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, selectors: dict[str, Any], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ChangeError, match=message):
        corrected(config_of(tmp_path, text), pass_to="new:1", **selectors)


NO_ADDRESSES = [
    "",
    "a",
    "http://a:1",
    "a:1/x",
    "a:1;b",
    "a:1\nb",
    "a\0:1",
    "$a:1",
    "unix:",
    "unix:x",
    "unix:/a b",
    "unix:/a:b",
]


@pytest.mark.parametrize("pass_to", NO_ADDRESSES)
def test_what_is_no_address_is_refused(tmp_path: Path, pass_to: str) -> None:
    config = config_of(tmp_path, "http { server { location / { proxy_pass http://a:1; } } }")
    with pytest.raises(RouteError, match=r"^pass_to "):
        corrected(config, location="/", pass_to=pass_to)


TWO = """http {
 server { listen 80; listen 127.0.0.1:443 ssl; server_name A.example b.example; include snippet; }
 server { listen 81; server_name c.example; include snippet; location =/y { proxy_pass http://a:1; } }
}"""
SELECTED: dict[str, tuple[dict[str, Any], list[str]]] = {
    "server name, any case": ({"server_name": "a.EXAMPLE"}, ["/x"]),
    "listen": ({"listen": "81"}, ["/x", "= /y"]),
    "listen, the address alone": ({"listen": "127.0.0.1:443"}, ["/x"]),
    "listen, whole": ({"listen": "127.0.0.1:443 ssl"}, ["/x"]),
    "location": ({"location": "= /y"}, ["= /y"]),
    "together": ({"server_name": "c.example", "location": "/x"}, ["/x"]),
    "file and line": ({"file": "nginx.conf", "line": 3}, ["= /y"]),
    "a snippet is one statement in two servers": ({"file": "snippet"}, ["/x", "/x"]),
    "none": ({"server_name": "z.example"}, []),
}


@pytest.mark.parametrize(("selectors", "locations"), SELECTED.values(), ids=SELECTED.keys())
def test_selection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, selectors: dict[str, Any], locations: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    config = config_of(tmp_path, TWO, snippet="location /x { proxy_pass http://a:1; }")
    assert [one.location for one in matching(config, Correction(pass_to="b:1", **selectors))] == locations


def test_the_nearest_route_is_named_first(tmp_path: Path) -> None:
    config = config_of(tmp_path, TWO, snippet="location /x { proxy_pass http://a:1; }")
    near = nearest(config, Correction(pass_to="b:1", server_name="cc.example", location="= /y"))
    assert near[0] == f"c.example = /y ({tmp_path}/nginx.conf:3)"


def test_a_snippet_affects_every_server_that_includes_it(tmp_path: Path) -> None:
    config = config_of(tmp_path, TWO, snippet="location /x { proxy_pass http://a:1; }")
    correction = Correction(pass_to="b:1", server_name="b.example")
    edits = edits_for(config, matching(config, correction), correction)
    assert [one.server_names[0] for one in affected(config, edits)] == ["A.example", "c.example"]


@pytest.mark.parametrize("given", [{}, {"line": 3}])
def test_a_route_has_to_be_named(given: dict[str, Any]) -> None:
    with pytest.raises(RouteError, match="name the"):
        Correction(pass_to="a:1", **given)


@pytest.mark.parametrize("given", [{}, {"endpoint": "tcp:a:1"}])
def test_a_server_that_is_right_already_is_no_edit(tmp_path: Path, given: dict[str, Any]) -> None:
    config = config_of(tmp_path, "http { upstream g { server a:1; } server { location / { proxy_pass http://g; } } }")
    correction = Correction(location="/", pass_to="a:1", **given)
    assert edits_for(config, matching(config, correction), correction) == []
