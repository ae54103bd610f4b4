# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How units were before a change: whether they ran, what enables them, how many workers; and bringing that back.

Enabling a unit is symbolic links below systemd's directory. These are kept and put back themselves: what
`systemctl disable` removes need not be what was made.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Iterable, Mapping, Sequence

from ansible_collections.sre.bad_gateway.plugins.module_utils._change import _live_workers, _systemd
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._journal import UnitState
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._live_workers import WorkersError
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._replace import remove_empty, sync_directory
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._systemd import SystemdError

ROOT = "/etc/systemd/system"
RUN_LEVELS = "/etc"

#: What a start of a unit takes along, and what it stops.
_TIES = ("Requires", "Wants", "BindsTo", "Conflicts", "ConflictedBy")
_RUNNING = ("active", "reloading", "activating", "refreshing")


@dataclass(frozen=True)
class Step:
    """One thing that is not as it was, and what brings it back."""

    unit: str
    told: str  # for reports
    do: Callable[[], None]
    settles: bool = True  # whether the unit runs, or not, with its files as they are now
    first: bool = False  # before systemd reads its units again, and forgets how to stop one whose file is gone


def before_start(unit: str) -> list[UnitState]:
    """Who runs of those that starting, restarting or reloading a unit may start or stop."""
    ties = _systemd.properties(unit, *_TIES)
    others = dict.fromkeys(name for tie in ties.values() for name in tie.split())
    names = [unit, *(name for name in others if name.endswith((".service", ".socket")))]
    return [UnitState(unit=name, running=running) for name, running in zip(names, are_running(names))]


def before_enabling(unit: str) -> list[UnitState]:
    """The links of a unit, and of those that its file says are to be enabled and disabled with it."""
    return [UnitState(unit=name, links=links(name)) for name in (unit, *_also(unit))]


def are_running(units: Sequence[str]) -> list[bool]:
    states = _systemd.run(["systemctl", "is-active", "--", *units]).stdout.split()
    if len(states) != len(units):
        raise SystemdError(f"systemctl did not tell which of {', '.join(units)} run")
    return [state in _RUNNING for state in states]


def links(unit: str) -> dict[str, str]:
    """Every symbolic link that enables a unit or gives it another name, with its target.

    Where a service has an init script too, `systemctl enable` has its links changed along.
    """
    root = Path(ROOT)
    found = [*root.glob("*"), *root.glob("*.wants/*"), *root.glob("*.requires/*"), *root.glob("*.upholds/*")]
    scripts = Path(RUN_LEVELS).glob("rc[0-9S].d/*")
    own = {**_targets(found, unit), **_targets(scripts, unit[: -len(".service")] if unit.endswith(".service") else "")}
    return {path: own[path] for path in sorted(own)}


def _targets(paths: Iterable[Path], name: str) -> dict[str, str]:
    targets = {str(path): os.readlink(path) for path in paths if path.is_symlink()}
    return {path: target for path, target in targets.items() if name in (Path(path).name, Path(target).name)}


def _also(unit: str) -> list[str]:
    lines = _systemd.run(["systemctl", "cat", "--", unit]).stdout.splitlines()
    return [name for line in lines if line.startswith("Also=") for name in line[len("Also=") :].split()]


def merged(states: Iterable[UnitState]) -> list[UnitState]:
    """One state for each unit; what comes first counts."""
    units: dict[str, UnitState] = {}
    for one in states:
        known = units.get(one.unit, one)
        units[one.unit] = UnitState(
            unit=one.unit,
            running=one.running if known.running is None else known.running,
            links=one.links if known.links is None else known.links,
            workers=one.workers if known.workers is None else known.workers,
        )
    return list(units.values())


def now(states: Iterable[UnitState]) -> list[UnitState]:
    """The same of the same units, as it is now."""
    return [
        UnitState(
            unit=one.unit,
            running=None if one.running is None else are_running([one.unit])[0],
            links=None if one.links is None else links(one.unit),
            workers=None if one.workers is None else _workers(one.unit),
        )
        for one in states
    ]


def _workers(unit: str) -> int | None:
    try:
        return _live_workers.running(unit)
    except WorkersError:
        return None  # it will be said by what is to bring them back


def steps(wanted: Iterable[UnitState]) -> list[Step]:
    """What has to be done to bring units back: who is to stop first, then links, then who is to run, with how many."""
    was = list(wanted)
    pairs = list(zip(was, now(was)))
    found = [_stopping(old.unit) for old, new in pairs if new.running and old.running is False]
    found += [_linking(old, new) for old, new in pairs if old.links != new.links]
    found += [_starting(old.unit) for old, new in pairs if old.running and new.running is False]
    found += [_counting(old.unit, old.workers) for old, new in pairs if old.workers and old.workers != new.workers]
    return found


def _linking(old: UnitState, new: UnitState) -> Step:
    was, is_now = old.links or {}, new.links or {}
    told = "enabled as before" if _enables(was) else "disabled again"
    return Step(unit=old.unit, told=f"{old.unit}: {told}", do=lambda: _relink(was, is_now), settles=False)


def _enables(was: Mapping[str, str]) -> bool:
    return any(Path(ROOT) in Path(path).parents for path in was)


def _relink(was: Mapping[str, str], is_now: Mapping[str, str]) -> None:
    for path in (path for path, target in is_now.items() if was.get(path) != target):
        with suppress(FileNotFoundError):
            Path(path).unlink()
            sync_directory(Path(path).parent)
        if Path(ROOT) in Path(path).parent.parents:
            remove_empty(Path(path).parent)
    for path, target in was.items():
        if is_now.get(path) != target:
            Path(path).parent.mkdir(exist_ok=True)
            Path(path).symlink_to(target)
            sync_directory(Path(path).parent)
    _systemd.daemon_reload()


def _stopping(unit: str) -> Step:
    # The others later: what was to stop with a unit, by a drop-in that is gone now, is to run on.
    gone = not Path(_systemd.properties(unit, "FragmentPath")["FragmentPath"]).exists()
    return Step(unit=unit, told=f"{unit}: stopped again", do=lambda: _systemd.act("stop", unit), first=gone)


def _starting(unit: str) -> Step:
    return Step(unit=unit, told=f"{unit}: started again", do=lambda: _systemd.revive("start", unit))


def _counting(unit: str, workers: int) -> Step:
    told = f"{unit}: {workers} workers again"
    return Step(unit=unit, told=told, do=lambda: _live_workers.bring_to(unit, workers), settles=False)
