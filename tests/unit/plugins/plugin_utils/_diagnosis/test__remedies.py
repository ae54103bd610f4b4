# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Fixes that somebody has to decide on."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._fleet import Fleet
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._remedies import keepalive_fix
from ansible_collections.sre.bad_gateway.tests.unit.plugins.plugin_utils._diagnosis._builders import (
    app,
    fleet,
    nginx,
    route,
    upstream,
)
from ansible_collections.sre.bad_gateway.tests.unit.plugins.plugin_utils._diagnosis._scenes import TCP, site


@pytest.mark.parametrize(
    ("idle", "wanted"),
    [
        (75, {"keepalive_timeout": "74s"}),
        (2, {"keepalive_timeout": "1s"}),
        (1, {"keepalive": 0}),  # no whole second is shorter
        (None, {"keepalive": 0}),
    ],
)
def test_nginx_closes_before_the_app_server_does(idle: int | None, wanted: dict[str, Any]) -> None:
    record = site(instances=[nginx(route(TCP, upstream="shop"), upstreams=[upstream("shop", TCP)])])
    (use,) = Fleet(fleet(record)).uses
    fix = keepalive_fix(use, app(TCP, settings={"idle_timeout": idle}))
    assert fix.variables == {"upstream_keepalive_upstreams": [{"name": "shop", **wanted}]}
    assert not fix.automatic
