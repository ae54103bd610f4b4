# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How many workers suit: CPUs decide, memory limits."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.sre.bad_gateway.plugins.module_utils._change._worker_count import Memory, suitable
from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import AppCapacity

MIB = 1 << 20
HOST = Memory(total=4000 * MIB, available=2000 * MIB)  # 400 of them stay free


def capacity(**measured: Any) -> AppCapacity:
    known: dict[str, Any] = {
        "workers_running": 1,
        "cpus": 2.0,
        "memory_limit": None,
        "memory_current": None,
        "memory_per_worker": 50 * MIB,
        "oom_kills": 0,
        "open_files_limit": None,
        "open_files": None,
    }
    return AppCapacity(**{**known, **measured})  # type: ignore[typeddict-item]


@pytest.mark.parametrize(
    ("cpus", "workers"), [(1.0, 3), (2.0, 5), (8.0, 17), (0.5, 2), (0.1, 1), (1.5, 4)], ids=lambda value: f"{value:g}"
)
def test_two_for_each_cpu_that_is_left_and_one(cpus: float, workers: int) -> None:
    count = suitable(capacity(cpus=cpus), HOST)
    assert count is not None
    assert (count.workers, count.why.startswith(f"2 x {cpus:g} CPUs + 1 = {workers};")) == (workers, True)


def test_nothing_is_said_of_an_app_server_that_does_not_run() -> None:
    assert suitable(capacity(cpus=None, workers_running=None, memory_per_worker=None), HOST) is None


@pytest.mark.parametrize(
    ("measured", "workers", "of_what"),
    [
        # A fifth of the limit stays free, and one part is the master's.
        pytest.param({"memory_limit": 250 * MIB}, 3, "limit of 250 MiB", id="the unit's limit"),
        pytest.param({"memory_limit": 40 * MIB}, 1, "limit of 40 MiB", id="the unit's limit is too small already"),
        pytest.param({"memory_per_worker": 800 * MIB}, 3, "2000 MiB available", id="the host's memory"),
        pytest.param(
            {"memory_per_worker": 800 * MIB, "memory_limit": 1500 * MIB}, 1, "limit of 1500 MiB", id="the less of both"
        ),
    ],
)
def test_never_more_than_memory_holds(measured: dict[str, Any], workers: int, of_what: str) -> None:
    count = suitable(capacity(**measured), HOST)
    assert count is not None
    assert count.workers == workers
    assert f"no more than {workers} of" in count.why
    assert of_what in count.why


def test_workers_that_run_are_fewer_where_the_host_has_no_memory_left() -> None:
    full = Memory(total=4000 * MIB, available=200 * MIB)
    count = suitable(capacity(workers_running=5, memory_per_worker=100 * MIB), full)
    assert count is not None
    assert count.workers == 3  # two of them make room for what is to stay free


def test_memory_that_is_plenty_is_said_too() -> None:
    count = suitable(capacity(memory_limit=1000 * MIB), HOST)
    assert count is not None
    assert count.why == "2 x 2 CPUs + 1 = 5; memory holds 15 of 50 MiB each (limit of 1000 MiB)"


@pytest.mark.parametrize(
    ("measured", "host"),
    [
        pytest.param({"memory_per_worker": None}, HOST, id="no worker"),
        pytest.param({}, None, id="no host"),
    ],
)
def test_cpus_alone_decide_where_memory_is_not_known(measured: dict[str, Any], host: Memory | None) -> None:
    count = suitable(capacity(**measured), host)
    assert count is not None
    assert (count.workers, count.why) == (5, "2 x 2 CPUs + 1 = 5; memory could not be measured")


@pytest.mark.parametrize(
    ("now", "workers"),
    [
        pytest.param(7, 7, id="near enough"),
        pytest.param(10, 10, id="near enough from above"),
        pytest.param(4, 8, id="too far"),
        pytest.param(12, 8, id="too far from above"),
        pytest.param(20, 8, id="more than suit the CPUs"),
    ],
)
def test_a_number_that_memory_limits_does_not_waver(now: int, workers: int) -> None:
    measured = capacity(cpus=8.0, memory_per_worker=101 * MIB, memory_limit=1200 * MIB)
    count = suitable(measured, None, now=now)
    assert count is not None
    assert count.workers == workers


def test_more_than_suit_the_cpus_do_not_stay_for_being_near_what_memory_holds() -> None:
    measured = capacity(cpus=8.0, memory_per_worker=100 * MIB, memory_limit=2000 * MIB)
    count = suitable(measured, None, now=18)
    assert count is not None
    assert count.workers == 15
