# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""In which order hosts are mended: app servers before the nginx in front of them, one host first, then more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Iterable, Mapping, Sequence

from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._fleet import Fleet
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._plan import SIDES, ChoiceError, Plans
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._run_directory import HostRecord


@dataclass(frozen=True)
class Batch:
    """Hosts that are mended at the same time."""

    side: str  # app | nginx
    hosts: tuple[str, ...]
    witnesses: tuple[str, ...]  # whose nginx shows what became of it: of these hosts, and in front of them

    def to_json(self) -> dict[str, Any]:
        return {
            "side": self.side,
            "roles": list(SIDES[self.side]),
            "hosts": list(self.hosts),
            "witnesses": list(self.witnesses),
        }


def rollout(records: Mapping[str, HostRecord], plans: Plans, *, sizes: Sequence[str]) -> list[Batch]:
    """Cut the hosts of each side into batches. A size is a number of hosts or a share of them; the last one repeats."""
    fronts = _fronts(records)
    return [
        Batch(side=side, hosts=hosts, witnesses=tuple(sorted({front for host in hosts for front in fronts[host]})))
        for side, roles in SIDES.items()
        for hosts in _cut([host for host in plans if set(roles) & set(plans[host])], sizes)
    ]


def _fronts(records: Mapping[str, HostRecord]) -> dict[str, set[str]]:
    """For each host itself and the hosts whose nginx sends requests to it."""
    fleet = Fleet(records)
    fronts = {host: {host} for host in records}
    for use in fleet.uses:
        for owner in fleet.owners(use):
            fronts[owner].add(use.host)
    return fronts


def _cut(hosts: Sequence[str], sizes: Sequence[str]) -> Iterable[tuple[str, ...]]:
    counts = [_count(size, of=len(hosts)) for size in sizes]
    start, step = 0, 0
    while start < len(hosts):
        count = counts[min(step, len(counts) - 1)]
        yield tuple(hosts[start : start + count])
        start, step = start + count, step + 1


def _count(size: str, *, of: int) -> int:
    number = size[:-1] if size.endswith("%") else size
    if not number.isdigit() or int(number) == 0:
        raise ChoiceError(f"{size!r} is no size of a batch: give a number of hosts (5) or a share of them (10%)")
    return max(1, of * int(number) // 100) if size.endswith("%") else int(number)
