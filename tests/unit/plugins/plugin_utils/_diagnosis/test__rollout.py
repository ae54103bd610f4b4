# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The order in which hosts are mended."""

from __future__ import annotations

import pytest

from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._plan import ChoiceError
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._rollout import rollout
from ansible_collections.sre.bad_gateway.tests.unit.plugins.plugin_utils._diagnosis._builders import (
    app,
    fleet,
    nginx,
    route,
    seen,
)

RECORDS = fleet(*(seen(f"h{number:02}") for number in range(20)))
SUPERVISION: dict[str, dict[str, object]] = {"supervision": {}}
PROXY_PASS: dict[str, dict[str, object]] = {"proxy_pass": {}}


@pytest.mark.parametrize(
    ("hosts", "sizes", "expected"),
    [
        pytest.param(20, ["1", "10%", "100%"], [1, 2, 17], id="canary, a tenth, the rest"),
        pytest.param(3, ["1", "10%", "100%"], [1, 1, 1], id="a tenth of few is one"),
        pytest.param(1, ["1", "10%", "100%"], [1], id="one host"),
        pytest.param(5, ["2"], [2, 2, 1], id="the last size repeats"),
        pytest.param(5, ["50"], [5], id="more than there are"),
        pytest.param(0, ["1"], [], id="nothing to mend"),
    ],
)
def test_batches_are_as_large_as_asked_for(hosts: int, sizes: list[str], expected: list[int]) -> None:
    plans = {f"h{number:02}": SUPERVISION for number in range(hosts)}
    batches = rollout(RECORDS, plans, sizes=sizes)
    assert [len(batch.hosts) for batch in batches] == expected
    assert [host for batch in batches for host in batch.hosts] == list(plans)


def test_the_app_side_of_all_hosts_comes_before_the_nginx_side_of_any() -> None:
    plans = {"h00": {**SUPERVISION, **PROXY_PASS}, "h01": PROXY_PASS, "h02": SUPERVISION}
    batches = rollout(RECORDS, plans, sizes=["1"])
    assert [(batch.side, *batch.hosts) for batch in batches] == [
        ("app", "h00"),
        ("app", "h02"),
        ("nginx", "h00"),
        ("nginx", "h01"),
    ]


def test_the_nginx_in_front_is_witness() -> None:
    far = "tcp:10.0.0.9:8000"
    records = fleet(
        seen("app1", addresses=["10.0.0.9"], apps=[app(far)]), seen("web1", instances=[nginx(route(far))]), seen("web2")
    )
    (batch,) = rollout(records, {"app1": SUPERVISION}, sizes=["1"])
    assert batch.witnesses == ("app1", "web1")


@pytest.mark.parametrize("size", ["0", "-1", "all", "10 %", ""])
def test_a_size_that_is_none(size: str) -> None:
    with pytest.raises(ChoiceError, match="is no size of a batch"):
        rollout(RECORDS, {"h00": SUPERVISION}, sizes=[size])
