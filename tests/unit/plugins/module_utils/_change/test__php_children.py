# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How many children suit a pool: memory decides, CPUs limit."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.sre.bad_gateway.plugins.module_utils._change._php_children import (
    spare_within,
    suitable_children,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._worker_count import Memory
from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import AppCapacity

MIB = 1 << 20
HOST = Memory(total=4000 * MIB, available=2000 * MIB)  # 400 of them stay free


def capacity(**measured: Any) -> AppCapacity:
    known: dict[str, Any] = {
        "workers_running": 2,
        "cpus": 4.0,
        "memory_limit": None,
        "memory_current": None,
        "memory_per_worker": 10 * MIB,
        "oom_kills": 0,
        "open_files_limit": None,
        "open_files": None,
    }
    return AppCapacity(**{**known, **measured})  # type: ignore[typeddict-item]


@pytest.mark.parametrize(
    ("measured", "memory", "elsewhere", "children"),
    [
        pytest.param({}, HOST, 0, 40, id="ten for each CPU"),
        pytest.param({"cpus": 0.05}, HOST, 0, 1, id="hardly any CPU"),
        pytest.param({"memory_per_worker": 100 * MIB}, HOST, 0, 18, id="what is free, and what its children have"),
        pytest.param({"memory_per_worker": 100 * MIB}, HOST, 10, 8, id="beside another pool's"),
        pytest.param({"memory_per_worker": 100 * MIB}, HOST, 30, 1, id="other pools may take it all"),
        pytest.param({"memory_limit": 100 * MIB}, HOST, 0, 8, id="a fifth of the unit's limit stays free"),
        pytest.param({"memory_limit": 100 * MIB}, None, 0, 8, id="only the unit's limit is known"),
        pytest.param({"memory_per_worker": 5000 * MIB, "workers_running": 0}, HOST, 0, 1, id="one at least"),
    ],
)
def test_as_many_as_memory_holds(
    measured: dict[str, Any], memory: Memory | None, elsewhere: int, children: int
) -> None:
    count = suitable_children(capacity(**measured), memory, now=1, elsewhere=elsewhere)
    assert count is not None
    assert count.workers == children


def test_a_child_that_has_not_worked_yet_takes_something_all_the_same() -> None:
    count = suitable_children(capacity(memory_per_worker=MIB // 4), HOST, now=1, elsewhere=0)
    assert count is not None
    assert "hold 6402 children of 0.2 MiB each" in count.why


@pytest.mark.parametrize(("allowed", "children"), [(None, 19), (100, 19), (10, 7), (2, 1)])
def test_not_more_than_php_fpm_lets_all_pools_have(allowed: int | None, children: int) -> None:
    measured = capacity(memory_per_worker=80 * MIB)
    count = suitable_children(measured, HOST, now=1, elsewhere=3, allowed=allowed)
    assert count is not None
    assert count.workers == children


@pytest.mark.parametrize(
    ("measured", "memory"),
    [
        ({"cpus": None}, HOST),
        ({"memory_per_worker": None}, HOST),
        ({}, None),
    ],
    ids=["no CPUs told", "no child measured", "no memory told"],
)
def test_nothing_is_said_of_what_was_not_measured(measured: dict[str, Any], memory: Memory | None) -> None:
    assert suitable_children(capacity(**measured), memory, now=1, elsewhere=0) is None


@pytest.mark.parametrize(("now", "children"), [(18, 18), (15, 15), (14, 18), (20, 18)])
def test_a_number_that_is_near_enough_stays(now: int, children: int) -> None:
    count = suitable_children(capacity(memory_per_worker=100 * MIB), HOST, now=now, elsewhere=0)
    assert count is not None
    assert count.workers == children


DYNAMIC = {"pm": "dynamic", "pm.min_spare_servers": 2, "pm.max_spare_servers": 6, "pm.start_servers": 4}


@pytest.mark.parametrize(
    ("pool", "children", "changed"),
    [
        pytest.param(DYNAMIC, 6, {}, id="there is room for all"),
        pytest.param(DYNAMIC, 5, {"pm.max_spare_servers": 5}, id="fewer than may be spare"),
        pytest.param(DYNAMIC, 3, {"pm.max_spare_servers": 3, "pm.start_servers": 3}, id="fewer than are started"),
        pytest.param(
            DYNAMIC,
            1,
            {"pm.min_spare_servers": 1, "pm.max_spare_servers": 1, "pm.start_servers": 1},
            id="fewer than have to be spare",
        ),
        pytest.param({**DYNAMIC, "pm.start_servers": None}, 3, {"pm.max_spare_servers": 3}, id="started as it pleases"),
        pytest.param({**DYNAMIC, "pm": "static"}, 1, {}, id="another way to manage them"),
    ],
)
def test_spare_children_are_not_more_than_all(pool: dict[str, object], children: int, changed: dict[str, int]) -> None:
    assert spare_within(children, pool) == changed
