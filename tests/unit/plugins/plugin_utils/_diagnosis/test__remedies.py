# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What mends settings of nginx: which of it is done unasked, and what is to be decided."""

from __future__ import annotations

from typing import Any, Sequence

import pytest

from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._fleet import Fleet, Use
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._remedies import (
    buffers_fix,
    keepalive_fix,
    max_fails_fix,
)
from ansible_collections.sre.bad_gateway.tests.unit.plugins.plugin_utils._diagnosis._builders import (
    app,
    fleet,
    nginx,
    route,
    upstream,
)
from ansible_collections.sre.bad_gateway.tests.unit.plugins.plugin_utils._diagnosis._scenes import TCP, site

SPEAKS = {"proxy_http_version": [["1.1"]], "proxy_set_header": [["Connection", ""]]}
BLOCK = {"file": "/etc/nginx/upstreams.conf", "line": 2}  # by its first server
ROUTE = {"file": "/etc/nginx/sites-enabled/shop", "line": 12}


def uses(*routes: Any, upstreams: Sequence[Any] = (), **changes: Any) -> list[Use]:
    return list(Fleet(fleet(site(instances=[nginx(*routes, upstreams=upstreams, **changes)]))).uses)


def racing(version: str = "1.22.1") -> list[Use]:
    group = {**upstream("shop", TCP), "directives": [["keepalive", "8"]]}
    plain = upstream("other", TCP)
    plain["servers"][0]["file"] = "/etc/nginx/other.conf"
    routes = [route(TCP, upstream="shop"), route(TCP, upstream="shop", line=20), route(TCP, upstream="other", line=30)]
    return uses(*routes, upstreams=[group, plain], version=version, route_settings=[SPEAKS])


@pytest.mark.parametrize(("idle", "wanted"), [(60, "59s"), (5, "4s"), (2, "1s")])
def test_nginx_closes_before_the_app_server_does(idle: int, wanted: str) -> None:
    fix = keepalive_fix(racing(), app(TCP, settings={"idle_timeout": idle}))
    assert fix.variables == {"upstream_keepalive_routes": [{**BLOCK, "upstream": {"keepalive_timeout": wanted}}]}
    assert (fix.automatic, fix.candidates) == (True, ())


@pytest.mark.parametrize(
    ("version", "idle", "known", "candidate"),
    [
        ("1.22.1", 5, False, "4s"),  # its program may say otherwise
        ("1.22.1", 1, True, "state: absent"),  # no whole second is shorter
        ("1.15.2", 5, True, "state: absent"),  # nginx knows no time-out yet
    ],
)
def test_what_leaves_a_choice_is_not_done_unasked(version: str, idle: int, known: bool, candidate: str) -> None:
    server = app(TCP, settings={"idle_timeout": idle}, settings_known=known)
    fix = keepalive_fix(racing(version), server)
    assert fix.variables == {"upstream_keepalive_routes": [BLOCK]}
    assert (fix.automatic, fix.candidates) == (False, (candidate,))


def test_when_a_server_is_given_up_is_for_people_to_say() -> None:
    fix = max_fails_fix(upstream("shop", TCP, "tcp:127.0.0.1:8001"))
    assert fix.variables == {"upstream_keepalive_routes": [BLOCK]}
    assert (fix.automatic, len(fix.candidates)) == (False, 2)


@pytest.mark.parametrize(
    ("present", "size", "candidate"),
    [(None, "16k", ""), ("8k", "16k", ""), ("8192", "16k", ""), ("16k", "", "32k"), ("1m", "", "2048k")],
)
def test_room_for_headers(present: str | None, size: str, candidate: str) -> None:
    settings = {"proxy_buffer_size": [[present]]} if present else {}
    fix = buffers_fix(uses(route(TCP), route_settings=[settings]), {"shop.example"})
    assert fix.variables == {"upstream_keepalive_routes": [{**ROUTE, **({"buffer_size": size} if size else {})}]}
    assert (fix.automatic, fix.candidates) == (not candidate, (candidate,) if candidate else ())


@pytest.mark.parametrize(
    ("servers", "lines"), [({"docs.example"}, [20]), ({"shop.example", "docs.example"}, [12, 20]), ({None}, [12, 20])]
)
def test_only_routes_that_the_log_names_get_it(servers: set[str | None], lines: list[int]) -> None:
    fix = buffers_fix(uses(route(TCP), route(TCP, line=20, server_names=["docs.example"])), servers)
    assert [one["line"] for one in fix.variables["upstream_keepalive_routes"]] == lines
