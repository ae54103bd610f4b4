# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an app server has to work with: its workers, and the CPUs, memory and open files that are left to them."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._as_user import look_into
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._processes import Process, ProcessTable
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._shared import Notes

if TYPE_CHECKING:
    from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import AppCapacity

NOT_MEASURED: AppCapacity = {
    "workers_running": None,
    "cpus": None,
    "memory_limit": None,
    "memory_current": None,
    "memory_per_worker": None,
    "oom_kills": None,
    "open_files_limit": None,
    "open_files": None,
}

#: Reading the memory of a process costs the kernel a walk over all of it; some workers stand for all.
_MOST_MEASURED = 16
#: cgroup v1 prints "no limit" as the largest number of pages that it can count.
_NO_LIMIT = 1 << 62
_HELPERS = r"multiprocessing\.(?:resource|semaphore)_tracker"


class _Hierarchy(NamedTuple):
    """One mounted cgroup hierarchy."""

    controllers: frozenset[str]  # empty: the unified one
    root: str  # what of it is mounted
    mount: Path


class Cgroups(NamedTuple):
    """The cgroup hierarchies of this host: version 1, version 2, or some of both."""

    hierarchies: tuple[_Hierarchy, ...]

    @classmethod
    def read(cls, *, proc: Path = Path("/proc")) -> Cgroups:
        """None of them where there is nothing mounted."""
        found: list[_Hierarchy] = []
        with contextlib.suppress(OSError):
            for line in (proc / "self" / "mountinfo").read_text("utf-8", "surrogateescape").splitlines():
                fields, _dash, rest = line.partition(" - ")
                kind, _device, options = rest.split(" ", 2)
                if kind in ("cgroup", "cgroup2"):
                    _id, _parent, _number, root, mount = fields.split(" ")[:5]
                    controllers = frozenset(options.split(",")) if kind == "cgroup" else frozenset()
                    found.append(_Hierarchy(controllers=controllers, root=root, mount=Path(mount)))
        return cls(tuple(found))

    def levels(self, membership: str, controller: str) -> tuple[bool, list[Path]]:
        """(is it version 2, the directories of a process's cgroup and of all above it) as far as they are mounted.

        `membership` is the text of /proc/PID/cgroup.
        """
        for line in sorted(membership.splitlines(), key=lambda line: line.startswith("0::")):
            _number, controllers, path = line.split(":", 2)
            if controllers and controller not in controllers.split(","):
                continue
            for hierarchy in self.hierarchies:
                wanted = controller in hierarchy.controllers if controllers else not hierarchy.controllers
                relative = _below(path, hierarchy.root)
                if wanted and relative is not None:
                    directory = hierarchy.mount / relative
                    above = [one for one in directory.parents if hierarchy.mount in (one, *one.parents)]
                    return not controllers, [directory, *above]
        return False, []


def _below(path: str, root: str) -> str | None:
    if root == "/":
        return None if path.startswith("/..") else path.lstrip("/")
    return path[len(root) :].lstrip("/") if path == root or path.startswith(f"{root}/") else None


def _text(path: Path) -> str:
    try:
        return path.read_text("ascii", "replace").strip()
    except OSError:
        return ""


def _number(path: Path) -> int | None:
    text = _text(path)
    return int(text) if text.isdigit() and int(text) < _NO_LIMIT else None


def _quota(directory: Path, *, unified: bool) -> float | None:
    if unified:
        quota, _blank, period = _text(directory / "cpu.max").partition(" ")
    else:
        quota, period = _text(directory / "cpu.cfs_quota_us"), _text(directory / "cpu.cfs_period_us")
    return int(quota) / int(period) if quota.isdigit() and period.isdigit() and int(period) else None


def _smallest(values: Iterable[Any]) -> Any:
    return min((value for value in values if value is not None), default=None)


def _cpus(pid: int, membership: str, cgroups: Cgroups) -> float | None:
    unified, levels = cgroups.levels(membership, "cpu")
    limits: list[float | None] = [_quota(directory, unified=unified) for directory in levels]
    with contextlib.suppress(OSError):
        limits.append(float(len(os.sched_getaffinity(pid))))  # cpusets are in it
    left = _smallest(limits)
    return None if left is None else round(left, 2)


def _memory(membership: str, cgroups: Cgroups) -> tuple[int | None, int | None, int | None]:
    """(tightest limit, in use, times that the kernel killed a process for memory)."""
    unified, levels = cgroups.levels(membership, "memory")
    if not levels:
        return None, None, None
    names = (
        ("memory.max", "memory.current", "memory.events")
        if unified
        else ("memory.limit_in_bytes", "memory.usage_in_bytes", "memory.oom_control")
    )
    kills = re.search(r"^oom_kill (\d+)$", _text(levels[0] / names[2]), re.MULTILINE)
    limit = _smallest(_number(directory / names[0]) for directory in levels)
    return limit, _number(levels[0] / names[1]), int(kills[1]) if kills else None


def _open_files_limit(pid: int, proc: Path) -> int | None:
    match = re.search(r"^Max open files +(\d+)", _text(proc / str(pid) / "limits"), re.MULTILINE)
    return int(match[1]) if match else None


def _resident(pid: int, proc: Path) -> int | None:
    fields = _text(proc / str(pid) / "statm").split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE") if len(fields) > 1 else None


def _proportional(pid: int, proc: Path) -> int | None:
    """Pages that several processes share are divided between them."""
    match = re.search(r"^Pss: +(\d+) kB", (proc / str(pid) / "smaps_rollup").read_text("ascii"), re.MULTILINE)
    return int(match[1]) * 1024 if match else None


def _still_there(pids: Iterable[int], look: Callable[[int], Any]) -> Iterator[Any]:
    for pid in pids:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it ended while we looked
            yield look(pid)


def _inside(workers: Sequence[int], pids: Sequence[int], proc: Path) -> tuple[list[int], int]:
    """(memory of each worker, most open files of a process): what only a process's own user may see."""
    files = _still_there(pids, lambda pid: len(os.listdir(proc / str(pid) / "fd")))  # noqa: PTH208
    try:
        memory = [value for value in _still_there(workers, lambda pid: _proportional(pid, proc)) if value]
    except PermissionError:
        raise
    except OSError:  # a kernel before 4.14 has no such file
        memory = []
    return memory, max(files, default=0)


def workers_of(root: Process, table: ProcessTable) -> list[int]:
    """Below the master, without the helpers of Python's multiprocessing."""
    children = table.children(root.pid)
    return sorted(child.pid for child in children if not re.search(_HELPERS, " ".join(child.argv)))


def measure(root: Process, pids: Sequence[int], *, table: ProcessTable, cgroups: Cgroups, notes: Notes) -> AppCapacity:
    """Of a running app server: `root` is its master, `pids` are all of its processes."""
    proc, workers = table.proc, workers_of(root, table)
    measured = (workers or [root.pid])[:_MOST_MEASURED]
    look = partial(_inside, measured, list(pids)[:_MOST_MEASURED], proc)
    memory: list[int] = []
    open_files: int | None = None
    try:
        memory, open_files = look_into(root.uid, root.gid, look)
    except OSError as error:
        notes.miss("open files of other users' app servers", error)
    memory = memory or [size for size in (_resident(pid, proc) for pid in measured) if size]
    membership = _text(proc / str(root.pid) / "cgroup")
    limit, current, kills = _memory(membership, cgroups)
    return {
        "workers_running": len(workers),
        "cpus": _cpus(root.pid, membership, cgroups),
        "memory_limit": limit,
        "memory_current": current,
        "memory_per_worker": sum(memory) // len(memory) if memory else None,
        "oom_kills": kills,
        "open_files_limit": _open_files_limit(root.pid, proc),
        "open_files": open_files or None,
    }
