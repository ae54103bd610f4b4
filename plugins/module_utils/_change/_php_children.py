# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How many children suit a pool of PHP-FPM's: as many as memory holds beside the other pools'."""

from __future__ import annotations

from typing import Mapping

from ansible_collections.sre.bad_gateway.plugins.module_utils._change._worker_count import Count, Memory, mebibytes
from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import AppCapacity

#: Children mostly wait for a database; with more than this for each CPU they wait for each other.
_MOST_PER_CPU = 10


def suitable_children(
    capacity: AppCapacity, memory: Memory | None, *, now: int, elsewhere: int, allowed: int | None = None
) -> Count | None:
    """None where nothing could be measured.

    `now` is what the pool may have, `elsewhere` what all others may, and `allowed` what PHP-FPM lets all together have.
    """
    cpus, size = capacity["cpus"], capacity["memory_per_worker"]
    if cpus is None or not size:
        return None
    room = _room(capacity, memory, size)
    if room is None:
        return None
    beside = f" beside {elsewhere} of other pools" if elsewhere else ""
    fitting = room // size - elsewhere
    held = f"{mebibytes(room)} hold {max(0, fitting)} children of {mebibytes(size)} each{beside}"
    limits = [(int(_MOST_PER_CPU * cpus), f"{_MOST_PER_CPU} x {cpus:g} CPUs; {held}"), (fitting, held)]
    if allowed:
        limits.append((allowed - elsewhere, f"process.max = {allowed}{beside}"))
    children, why = min(limits)
    # Measured anew memory differs a little each time, and children that are near enough are not changed for that.
    if now <= children <= now + now // 4 and why == held:
        return Count(now, f"{held}; {now} is near enough to stay")
    return Count(max(1, children), why)


def _room(capacity: AppCapacity, memory: Memory | None, size: int) -> int | None:
    """Bytes that all children together may take: a fifth of a limit and a tenth of the host's stay free."""
    limit = capacity["memory_limit"]
    rooms = [limit - limit // 5] if limit else []
    if memory:
        taken = (capacity["workers_running"] or 0) * size
        rooms.append(taken + memory.available - memory.total // 10)
    return max(0, min(rooms)) if rooms else None


def spare_within(children: int, pool: Mapping[str, object]) -> dict[str, int]:
    """What else of `pm = dynamic` has to change, because PHP-FPM refuses spare children beyond all."""
    low, high, start = (pool.get(f"pm.{name}") for name in ("min_spare_servers", "max_spare_servers", "start_servers"))
    if pool.get("pm") != "dynamic" or not isinstance(low, int) or not isinstance(high, int):
        return {}
    valid = {"pm.min_spare_servers": min(low, children), "pm.max_spare_servers": min(high, children)}
    if isinstance(start, int):
        valid["pm.start_servers"] = min(start, valid["pm.max_spare_servers"])
    return {name: value for name, value in valid.items() if value != pool[name]}
