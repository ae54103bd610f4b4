# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What got worse, and what does not answer."""

from __future__ import annotations

import pytest

from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._verdict import silent, worse
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._run_directory import HostRecord
from ansible_collections.sre.bad_gateway.tests.unit.plugins.plugin_utils._diagnosis._builders import (
    fleet,
    nginx,
    probe,
    route,
    seen,
    unreachable,
    upstream,
)

ONE, TWO = "tcp:127.0.0.1:8001", "tcp:127.0.0.1:8002"


def at(key: str, outcome: str = "answered") -> HostRecord:
    return seen("web1", instances=[nginx(route(key))], probes=[probe(key, outcome)])


def balanced(one: str, two: str) -> HostRecord:
    routes = route(ONE, TWO, upstream="shop")
    return seen(
        "web1",
        instances=[nginx(routes, upstreams=[upstream("shop", ONE, TWO)])],
        probes=[probe(ONE, one), probe(TWO, two)],
    )


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        pytest.param(at(ONE), at(ONE), [], id="still answers"),
        pytest.param(at(ONE), at(ONE, "refused"), [ONE], id="answers no more"),
        pytest.param(at(ONE, "refused"), at(ONE, "refused"), [], id="never answered"),
        pytest.param(at(ONE, "refused"), at(TWO, "refused"), [], id="bad elsewhere"),
        pytest.param(at(ONE), at(TWO, "refused"), [TWO], id="led to where nobody answers"),
        pytest.param(at(ONE, "refused"), at(TWO), [], id="mended"),
        pytest.param(balanced("answered", "answered"), balanced("answered", "refused"), [TWO], id="one of two lost"),
        pytest.param(balanced("answered", "refused"), balanced("answered", "refused"), [], id="one of two still lost"),
        pytest.param(at(ONE), unreachable("web1"), [], id="out of sight says nothing"),
        pytest.param(unreachable("web1"), at(ONE, "refused"), [], id="was out of sight"),
    ],
)
def test_worse(before: HostRecord, after: HostRecord, expected: list[str]) -> None:
    assert [each.endpoint for each in worse(fleet(before), fleet(after))] == expected


def test_silent_is_a_route_without_any_endpoint_that_answers() -> None:
    assert silent(fleet(at(ONE), balanced("answered", "refused"))) == []
    (found,) = silent(fleet(at(ONE, "refused")))
    assert found.to_json() == {
        "host": "web1",
        "route": "shop.example /",
        "endpoint": ONE,
        "why": "refused: Refused",
    }
