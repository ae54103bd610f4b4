# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How many workers suit an app server: two for each CPU that is left to it and one, as far as memory goes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Iterator

from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import AppCapacity

#: What stays free, as parts of the whole: of a cgroup's limit, which page cache counts against, and of the host's.
_RESERVE_OF_LIMIT = 5
_RESERVE_OF_HOST = 10
#: Workers never take the same memory twice. A number that memory limits stays while it is as near as a part of this.
_NEAR = 4

_MIB = 1 << 20


@dataclass(frozen=True)
class Memory:
    """Bytes of the host."""

    total: int
    available: int


@dataclass(frozen=True)
class Count:
    workers: int
    why: str


def mebibytes(size: int) -> str:
    """Memory as people read it; of a child that has not worked yet, a fraction may be its own."""
    return f"{size / _MIB:.0f} MiB" if size >= _MIB else f"{size / _MIB:.1f} MiB"


def suitable(capacity: AppCapacity, memory: Memory | None, *, now: int | None = None) -> Count | None:
    """None where nothing could be measured. `now` is what an earlier call led to."""
    cpus = capacity["cpus"]
    if cpus is None:
        return None
    wanted = int(2 * cpus) + 1
    why = f"2 x {cpus:g} CPUs + 1 = {wanted}"
    size = capacity["memory_per_worker"]
    limits = list(_limits(capacity, memory, size)) if size else []
    if not size or not limits:
        return Count(wanted, f"{why}; memory could not be measured")
    fitting, of_what = min(limits)
    if fitting >= wanted:
        return Count(wanted, f"{why}; memory holds {fitting} of {mebibytes(size)} each ({of_what})")
    why = f"{why}, but memory holds no more than {fitting} of {mebibytes(size)} each ({of_what})"
    if now and now <= wanted and abs(fitting - now) * _NEAR <= now:
        return Count(now, f"{why}; {now} is near enough to stay")
    return Count(fitting, why)


def _limits(capacity: AppCapacity, memory: Memory | None, size: int) -> Iterator[tuple[int, str]]:
    """(workers that fit, into what): at least one, which is there already."""
    limit = capacity["memory_limit"]
    if limit:
        usable = limit - limit // _RESERVE_OF_LIMIT
        # The master is about as large as a worker.
        yield max(1, usable // size - 1), f"limit of {mebibytes(limit)}"
    if memory:
        more = (memory.available - memory.total // _RESERVE_OF_HOST) // size
        yield max(1, (capacity["workers_running"] or 0) + more), f"{mebibytes(memory.available)} available"
