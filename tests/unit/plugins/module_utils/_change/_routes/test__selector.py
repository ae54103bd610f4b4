# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.sre.bad_gateway.plugins.module_utils._change._errors import RouteError
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._routes._selector import (
    Selector,
    matching,
    nearest,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._nginx._config import read_config
from ansible_collections.sre.bad_gateway.plugins.module_utils._nginx._routes import Pass, passes

TWO = """http {
 server { listen 80; listen 127.0.0.1:443 ssl; server_name A.example b.example; include snippet; }
 server { listen 81; server_name c.example; include snippet; location =/y { proxy_pass http://a:1; } }
}"""
SELECTED: dict[str, tuple[dict[str, Any], list[str]]] = {
    "server name, any case": ({"server_name": "a.EXAMPLE"}, ["/x"]),
    "listen": ({"listen": "81", "location": "/x"}, ["/x"]),
    "listen, the address alone": ({"listen": "127.0.0.1:443"}, ["/x"]),
    "listen, whole": ({"listen": "127.0.0.1:443 ssl"}, ["/x"]),
    "location": ({"location": "= /y"}, ["= /y"]),
    "together": ({"server_name": "c.example", "location": "/x"}, ["/x"]),
    "file and line": ({"file": "nginx.conf", "line": 3}, ["= /y"]),
    "a snippet is one statement in two servers": ({"file": "snippet"}, ["/x", "/x"]),
    "none": ({"server_name": "z.example"}, []),
}


@pytest.fixture
def routes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Pass]:
    monkeypatch.chdir(tmp_path)
    Path("nginx.conf").write_text(TWO)
    Path("snippet").write_text("location /x { proxy_pass http://a:1; }")
    return passes(read_config("nginx.conf", prefix=str(tmp_path)))


@pytest.mark.parametrize(("selectors", "locations"), SELECTED.values(), ids=SELECTED.keys())
def test_selection(routes: list[Pass], selectors: dict[str, Any], locations: list[str]) -> None:
    assert [one.location for one in matching(routes, Selector(**selectors))] == locations


def test_several_are_listed(routes: list[Pass]) -> None:
    with pytest.raises(RouteError, match=r"^listen 81: 2 routes fit.*c\.example /x \(.*snippet:1\); c\.example = /y"):
        matching(routes, Selector(listen="81"))


def test_the_nearest_route_is_named_first(routes: list[Pass]) -> None:
    near = nearest(routes, Selector(server_name="cc.example", location="= /y"))
    assert near[0].startswith("c.example = /y (") and near[0].endswith("/nginx.conf:3)")


def test_the_nearest_route_is_one_of_the_server_that_was_named(routes: list[Pass]) -> None:
    near = nearest(routes, Selector(server_name="b.example", listen="81", location="/xx"))
    assert near[0].startswith("A.example /x (") and near[0].endswith("/snippet:1) on 80, 127.0.0.1:443 ssl")


@pytest.mark.parametrize("given", [{}, {"line": 3}])
def test_a_route_has_to_be_named(given: dict[str, Any]) -> None:
    with pytest.raises(RouteError, match="name the"):
        Selector(**given)
