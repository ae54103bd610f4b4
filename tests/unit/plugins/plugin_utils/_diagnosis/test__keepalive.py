# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who of the two closes an idle connection first."""

from __future__ import annotations

from typing import Any, Mapping, Sequence

import pytest

from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._fleet import Fleet, Use
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._keepalive import (
    closes_before_nginx,
    nginx_keeps,
)
from ansible_collections.sre.bad_gateway.tests.unit.plugins.plugin_utils._diagnosis._builders import (
    app,
    fleet,
    nginx,
    route,
    seen,
    upstream,
)
from ansible_collections.sre.bad_gateway.tests.unit.plugins.plugin_utils._diagnosis._scenes import TCP

DONE_RIGHT = {"proxy_http_version": [["1.1"]], "proxy_set_header": [["Connection", ""], ["Host", "$host"]]}


def use(*directives: Sequence[str], version: str = "1.22.1", settings: Mapping[str, Any] | None = None) -> Use:
    """nginx with its settings done right, where no others are given."""
    settings = DONE_RIGHT if settings is None else settings
    group = {**upstream("shop", TCP), "directives": [list(words) for words in directives]}
    site = nginx(route(TCP, upstream="shop"), upstreams=[group], version=version, route_settings=[dict(settings)])  # type: ignore[list-item]
    return Fleet(fleet(seen("web1", instances=[site]))).uses[0]


@pytest.mark.parametrize(
    ("found", "kept"),
    [
        (use(), None),
        (use(("keepalive", "32")), 60.0),
        (use(("keepalive", "32"), ("keepalive_timeout", "4s")), 4.0),
        (use(("keepalive", "32"), settings={}), None),
        (use(("keepalive", "32"), settings={**DONE_RIGHT, "proxy_http_version": [["1.0"]]}), None),
        (use(version="1.29.6"), None),
        (use(version="1.29.7", settings={}), 60.0),
        (use(("keepalive", "0"), version="1.31.3", settings={}), None),
    ],
)
def test_how_long_nginx_keeps_connections(found: Use, kept: float | None) -> None:
    assert nginx_keeps(found) == kept


@pytest.mark.parametrize(("idle", "races"), [(2, True), (5, True), (60, True), (75, False), (0, False), (None, False)])
def test_who_closes_first(idle: int | None, races: bool) -> None:
    assert closes_before_nginx(use(("keepalive", "8")), app(TCP, settings={"idle_timeout": idle})) is races
    assert not closes_before_nginx(use(), app(TCP, settings={"idle_timeout": idle}))
