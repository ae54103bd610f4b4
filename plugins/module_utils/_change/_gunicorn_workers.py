# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""As many workers as suit a gunicorn, or as were asked for: those that run, and those that its next start brings."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Sequence

from ansible_collections.sre.bad_gateway.plugins.module_utils._change import _live_workers, _systemd
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._gunicorn_drop_in import (
    COMMAND,
    VARIABLE,
    number,
    place,
    sections,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._journal import Edit, Plan, UnitAction, UnitState
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._live_workers import WorkersError
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._lock import turn
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._new_code import newer_code
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._perform import perform
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._replace import read
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._unit_files import (
    Override,
    Sections,
    validate_names,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._unit_override import edit_of, text_of
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._unit_source import read_source
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._worker_count import Count, Memory, suitable
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._writable import require_writable
from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import AppServer
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._app_servers._find import find_app_servers
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._app_servers._reading import DEFAULT
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._app_servers._start import program_of
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._capacity import parse_meminfo
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._processes import read_processes
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._shared import Notes
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._systemd_text import parse_environment
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._units import UnitFacts, read_units

MODULE = "gunicorn_workers"
_MEMORY = Path("/proc/meminfo")


@dataclass(frozen=True)
class Wish:
    """How many workers a unit's gunicorn is to have."""

    unit: str
    workers: int | None = None  # None: as many as suit
    replace_chosen: bool = False  # a number that somebody has set as well
    present: bool = True

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 1:
            raise WorkersError(f"{self.unit}: gunicorn cannot have {self.workers} workers, only one or more")


@dataclass(frozen=True)
class Outcome:
    """What became of the workers, or would in check mode."""

    unit: str
    edit: Edit  # of the drop-in
    recovered: Sequence[str]
    reread: bool  # systemd had not read the unit's files as they are
    workers: int | None = None  # None: as many as the unit's own settings say
    before: int | None = None  # that ran; None: it does not run
    why: str = ""  # that many
    left: str = ""  # why they are left alone

    @property
    def changes(self) -> list[str]:
        """For reports: what this did to the host."""
        reread = [f"{self.unit}: systemd read its files again"] if self.reread else []
        written = [self.edit.path] if self.edit.old != self.edit.new else []
        return [*self.recovered, *reread, *written, *self._counted(bool(written))]

    def _counted(self, written: bool) -> list[str]:
        if self.workers is None:
            return [f"{self.unit}: as many workers as its own settings say"] if written else []
        if self.before in (None, self.workers):
            return []
        return [f"{self.unit}: {self.workers} workers, {self.before} before"]


@dataclass(frozen=True)
class _Found:
    """A unit's gunicorn as it is."""

    app: AppServer
    facts: UnitFacts
    drop_in: str  # ours; "" when there is none

    @property
    def source(self) -> str | None:
        """What says the number of workers; None when that cannot be seen."""
        return self.app["settings_from"].get("workers")

    @property
    def said(self) -> int | None:
        """The number that its next start brings; None when that cannot be seen."""
        number = self.app["settings"]["workers"]
        return number if isinstance(number, int) else None

    @property
    def by_unit(self) -> bool:
        """Whether the unit's own command is a gunicorn, not a program that starts one."""
        return program_of(self.facts.argv) == "gunicorn"

    @property
    def is_chosen(self) -> bool:
        """Whether somebody has set the number: neither gunicorn itself nor we."""
        return self.source is None or self.source not in (DEFAULT, place(self.drop_in))


def apply(wish: Wish, *, check_mode: bool, run_id: str = "") -> Outcome:
    """Make the unit's gunicorn have that many workers, now and after its next start."""
    override = Override(unit=wish.unit, name="workers", sections={})
    validate_names(override)
    with turn(module=MODULE, run_id=run_id, check_mode=check_mode) as recovered:
        _systemd.require_loaded(wish.unit)
        reread = _systemd.properties(wish.unit, "NeedDaemonReload")["NeedDaemonReload"] == "yes"
        if reread and not check_mode:
            _systemd.daemon_reload()
        before = _live_workers.running(wish.unit)
        edit, count, left = _decided(wish, override, before or 0)
        outcome = Outcome(
            unit=wish.unit,
            edit=edit,
            recovered=recovered,
            reread=reread,
            workers=count.workers if count else None,
            before=before,
            why=count.why if count else "",
            left=left,
        )
        _make_so(outcome, override, check_mode=check_mode, run_id=run_id)
    return outcome


def difference(outcome: Outcome) -> dict[str, str] | None:
    """Return Ansible's diff of the drop-in, None when its bytes stay."""
    edit = outcome.edit
    if edit.old == edit.new:
        return None
    return {
        "before_header": edit.path,
        "after_header": edit.path,
        "before": text_of(edit.old),
        "after": text_of(edit.new),
    }


def _decided(wish: Wish, override: Override, before: int) -> tuple[Edit, Count | None, str]:
    """(what becomes of the drop-in, how many workers, why they are left alone)."""
    if not wish.present:
        return edit_of(override), None, ""
    found = _find(override)
    count, left = _wanted(wish, found)
    unproved = _unproved(found, count.workers - before) if count and before else ""
    if unproved:
        count, left = None, unproved
    if count is None or (count.workers == found.said and not found.drop_in):
        now = read(override.path)
        return Edit(path=str(override.path), old=now, new=now), count, left
    return edit_of(replace(override, sections=_sections(override, found, count.workers))), count, ""


def _wanted(wish: Wish, found: _Found) -> tuple[Count | None, str]:
    """How many, or why they are left alone."""
    suited = suitable(found.app["capacity"], _memory(), now=number(found.drop_in))
    if wish.workers is not None:
        return Count(wish.workers, f"asked for; by itself: {suited.why}" if suited else "asked for"), ""
    if found.is_chosen and not wish.replace_chosen:
        return None, f"{found.source or 'something unseen'} says {found.said or 'how many'}"
    return suited, "" if suited else "it does not run, so nothing could be measured"


def _unproved(found: _Found, more: int) -> str:
    """What keeps that many more workers from being added: code that they would load and none has loaded yet."""
    directory, since = found.facts.unit["working_directory"].lstrip("!-"), _live_workers.youngest(found.facts.name)
    forked = found.app["settings"].get("preload_app") is True
    if more <= 0 or since is None or forked or not directory.startswith("/") or directory == "/":
        return ""
    path = newer_code(Path(directory), since)
    return f"{path} is newer than its workers; reload or restart it, then run again" if path else ""


def _find(override: Override) -> _Found:
    """By the same look that the diagnosis has."""
    unit, notes = override.unit, Notes()
    table = read_processes(notes=notes)
    units = read_units([unit], notes=notes)
    apps = [
        one
        for one in find_app_servers(table=table, units=units, listeners=[], notes=notes)
        if (one["unit"], one["kind"]) == (unit, "gunicorn")
    ]
    facts = [one for one in units.facts if one.name == unit]
    if (len(apps), len(facts)) != (1, 1):
        own = _systemd.properties(unit, "Id")["Id"]
        raise WorkersError(f"{unit}: found {len(apps)} gunicorn in what it starts and runs; systemd calls it {own}")
    return _Found(apps[0], facts[0], text_of(read(override.path)))


def _memory() -> Memory | None:
    try:
        told = parse_meminfo(_MEMORY.read_text("ascii"))
        return Memory(total=told["MemTotal"], available=told["MemAvailable"])
    except (OSError, ValueError, KeyError):
        return None


def _sections(override: Override, found: _Found, workers: int) -> Sections:
    if not found.by_unit and found.source in (None, "command line"):
        raise WorkersError(
            f"{override.unit}: {found.facts.argv[0]} starts its gunicorn and says how many workers; change it there"
        )
    source = read_source(override.unit, without=override.path)
    on_command = found.source == COMMAND or _is_overridden(override.unit, found.facts)
    return sections(override.unit, source, workers=workers, on_command=on_command)


def _is_overridden(unit: str, facts: UnitFacts) -> bool:
    """Whether an EnvironmentFile= holds the variable: such files win over every Environment=."""
    told = parse_environment(_systemd.properties(unit, "Environment")["Environment"])
    return facts.environment.get(VARIABLE) != told.get(VARIABLE)


def _make_so(outcome: Outcome, override: Override, *, check_mode: bool, run_id: str) -> None:
    changed = outcome.edit.old != outcome.edit.new
    edits = [outcome.edit] if changed else []
    if check_mode:
        require_writable(edits)
        return
    if not changed and (outcome.workers is None or outcome.before in (None, outcome.workers)):
        return
    plan = Plan(
        module=MODULE,
        run_id=run_id,
        edits=edits,
        units=[UnitAction(outcome.unit)] if changed else [],
        states=[] if outcome.before is None else [UnitState(outcome.unit, running=True, workers=outcome.before)],
    )
    perform(plan, accept=lambda: None, take_up=partial(_take_up, outcome, override, changed=changed))


def _take_up(outcome: Outcome, override: Override, *, changed: bool) -> None:
    if changed:
        _systemd.daemon_reload()
        _systemd.require_loaded(outcome.unit)
    if outcome.before is None and outcome.workers is None:
        return  # whatever it is now
    found = _find(override)
    if outcome.workers is not None and found.by_unit and found.said != outcome.workers:
        raise WorkersError(f"{outcome.edit.path}: taken back, {found.source} still says {found.said or 'how many'}")
    workers = outcome.workers or found.said
    if workers is None or outcome.before is None:
        return
    unproved = _unproved(found, workers - outcome.before)
    if unproved:
        raise WorkersError(f"{outcome.unit}: {unproved}")
    _live_workers.bring_to(outcome.unit, workers)
