# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""CPUs, memory and open files that are left to an app server."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._app_servers._capacity import (
    Cgroups,
    _cpus,
    _memory,
    measure,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._processes import Process, read_processes
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._shared import Notes


def tree(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")


def cgroups(tmp_path: Path, *mounts: str) -> Cgroups:
    """`ROOT MOUNTPOINT TYPE OPTIONS` as mountinfo prints them."""
    lines = []
    for mount in mounts:
        root, point, kind, options = mount.split()
        lines.append(f"30 24 0:26 {root} {tmp_path}/{point} rw,nosuid shared:4 - {kind} {kind} {options}")
    tree(tmp_path / "proc", {"self/mountinfo": "\n".join(["22 1 0:20 / / rw - ext4 /dev/sda rw", *lines])})
    return Cgroups.read(proc=tmp_path / "proc")


UNIFIED = "0::/system.slice/shop.service\n"
VERSION_1 = """\
4:memory:/system.slice/shop.service
3:cpu,cpuacct:/system.slice
1:name=systemd:/system.slice/shop.service
0::/
"""


@pytest.mark.parametrize(
    ("files", "cpus"),
    [
        ({}, None),
        ({"system.slice/shop.service/cpu.max": "max 100000"}, None),
        ({"system.slice/shop.service/cpu.max": "50000 100000"}, 0.5),
        ({"system.slice/shop.service/cpu.max": "50000 100000", "system.slice/cpu.max": "25000 100000"}, 0.25),
        ({"cpu.max": "10000 100000"}, 0.1),
    ],
)
def test_the_tightest_quota_on_the_way_up(tmp_path: Path, files: dict[str, str], cpus: float | None) -> None:
    tree(tmp_path / "cg", files)
    affinity = float(len(os.sched_getaffinity(0)))
    found = _cpus(os.getpid(), UNIFIED, cgroups(tmp_path, "/ cg cgroup2 rw"))
    assert found == (affinity if cpus is None else cpus)


def test_affinity_limits_too(tmp_path: Path) -> None:
    tree(tmp_path / "cg", {"cpu.max": "100000000 100000"})
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        os.sched_setaffinity(child.pid, {min(os.sched_getaffinity(0))})
        assert _cpus(child.pid, UNIFIED, cgroups(tmp_path, "/ cg cgroup2 rw")) == 1.0
        child.communicate(b"\n")


def test_memory_of_version_2(tmp_path: Path) -> None:
    tree(
        tmp_path / "cg",
        {
            "system.slice/shop.service/memory.max": "max",
            "system.slice/shop.service/memory.current": "1000",
            "system.slice/shop.service/memory.events": "low 0\noom 4\noom_kill 3\noom_group_kill 0",
            "system.slice/memory.max": "5000",
        },
    )
    assert _memory(UNIFIED, cgroups(tmp_path, "/ cg cgroup2 rw")) == (5000, 1000, 3)


def test_version_1_beside_an_unused_unified_hierarchy(tmp_path: Path) -> None:
    tree(
        tmp_path,
        {
            "m/system.slice/shop.service/memory.limit_in_bytes": "9223372036854771712",
            "m/system.slice/shop.service/memory.usage_in_bytes": "1000",
            "m/system.slice/shop.service/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 2",
            "m/memory.limit_in_bytes": "7000",
            "c/system.slice/cpu.cfs_quota_us": "50000",
            "c/system.slice/cpu.cfs_period_us": "100000",
            "c/cpu.cfs_quota_us": "-1",
            "c/cpu.cfs_period_us": "100000",
        },
    )
    found = cgroups(tmp_path, "/ m cgroup rw,memory", "/ c cgroup rw,cpu,cpuacct", "/ u cgroup2 rw")
    assert _memory(VERSION_1, found) == (7000, 1000, 2)
    assert _cpus(os.getpid(), VERSION_1, found) == 0.5


@pytest.mark.parametrize(
    ("root", "membership", "limit"),
    [
        pytest.param("/docker/abc", "0::/docker/abc/system.slice", 5, id="a part of the tree is mounted"),
        pytest.param("/docker/abc", "0::/docker/abc", 9, id="the process is at its top"),
        pytest.param("/docker/abc", "0::/docker/abcdef", None, id="the process is beside it"),
        pytest.param("/", "0::/../other", None, id="the process is outside"),
    ],
)
def test_what_is_mounted(tmp_path: Path, root: str, membership: str, limit: int | None) -> None:
    tree(tmp_path / "cg", {"memory.max": "9", "system.slice/memory.max": "5"})
    assert _memory(membership, cgroups(tmp_path, f"{root} cg cgroup2 rw"))[0] == limit


PARENT = """
import subprocess, sys
children = [subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) for _unused in range(2)]
helper = "import multiprocessing.resource_tracker; input()"
children.append(subprocess.Popen([sys.executable, "-c", helper], stdin=subprocess.PIPE))
print(len(children), flush=True)
input()
for child in children:
    child.communicate(b"\\n")
"""


def test_a_running_app_server_is_measured() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout and parent.stdout.readline() == b"3\n"
        table = read_processes(notes=Notes())
        pids = [parent.pid, *(child.pid for child in table.children(parent.pid))]
        capacity = measure(table.processes[parent.pid], pids, table=table, cgroups=Cgroups.read(), notes=Notes())
        parent.communicate(b"\n")
    assert capacity["workers_running"] == 2
    assert (capacity["memory_per_worker"] or 0) > 100_000
    assert (capacity["open_files"] or 0) >= 3
    assert (capacity["open_files_limit"] or 0) >= (capacity["open_files"] or 0)


def test_an_app_server_that_has_ended_meanwhile_is_no_failure(tmp_path: Path) -> None:
    root = Process(pid=1 << 22, parent=1, name="gone", argv=("gone",), exe="", uid=0, gid=0, started=0.0, unit=None)
    table = read_processes(notes=Notes())
    capacity = measure(root, [root.pid], table=table, cgroups=Cgroups(()), notes=Notes())
    assert capacity["memory_per_worker"] is None
    assert capacity["open_files"] is None
