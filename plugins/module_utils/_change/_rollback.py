# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Taking back a whole run: every file as it was before the run's first change of it, in one transaction."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Mapping, Sequence

from ansible_collections.sre.bad_gateway.plugins.module_utils._change import _journal, _unit_states
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._errors import (
    InterferenceError,
    JournalError,
    RouteError,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._instances import nginx_instances
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._journal import (
    Edit,
    FileRecord,
    Journal,
    Plan,
    UnitAction,
    checksum,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._lock import turn
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._perform import perform
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._recovery import take_up_units
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._reload import reload
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._replace import read
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._transaction import (
    Change,
    require_valid_in_place,
    validated,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._validate import Nginx
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._writable import require_writable

MODULE = "rollback"


@dataclass(frozen=True)
class Result:
    """What was taken back, or would be in check mode."""

    run_id: str  # "": this host has no run on record
    runs: Sequence[Mapping[str, Any]]  # on record here, newest first
    journals: Sequence[Journal]  # newest first
    edits: Sequence[Edit]
    units: Sequence[UnitAction]
    states: Sequence[str]  # what became of units that the run had started, stopped, enabled or disabled
    recovered: Sequence[str]
    troubles: Sequence[str]  # units that did not take their former files up

    def as_dict(self, *, diff: bool) -> dict[str, Any]:
        """What the module returns."""
        changes = [
            *self.recovered,
            *(f"{edit.path}: {_told(edit)}" for edit in self.edits),
            *self.states,
            *self.troubles,
        ]
        result: dict[str, Any] = {
            "changed": bool(changes or self.journals),
            "changes": changes,
            "run_id": self.run_id,
            "runs": list(self.runs),
            "transactions": [
                {name: getattr(one.record, name) for name in ("id", "module", "started")} for one in self.journals
            ],
            "files": [edit.path for edit in self.edits],
            "units": [one.unit for one in self.units],
            "recovered": list(self.recovered),
        }
        if diff:
            result["diff"] = [
                {"before": _text(one.old), "after": _text(one.new), "before_header": one.path, "after_header": one.path}
                for one in self.edits
            ]
        return result


def roll_back(*, run_id: str, force: bool, check_mode: bool) -> Result:
    """Take back a run, or the last one of this host; InterferenceError names files that somebody edited since."""
    with turn(module=MODULE, run_id=run_id, check_mode=check_mode, force=force) as recovered:
        committed = _committed()
        in_force = _in_force(committed)
        run_id = run_id or next((one.record.whole_run for one in committed if one.record.module != MODULE), "")
        found = _parts(in_force, run_id)
        edits = _edits(found, [one for one in in_force if one not in found], force=force)
        units = _units(found)
        states = _unit_states.merged(state for journal in reversed(found) for state in journal.record.states)
        told = [step.told for step in _unit_states.steps(states)]
        changes = _changes(found, edits)
        hows = [validated(change) for change in changes]

        def accept() -> None:
            for change, how in zip(changes, hows):
                require_valid_in_place(change, how)

        def take_up() -> list[str]:
            failed = take_up_units(units, states)
            for change in changes:
                reload(_as_it_runs(change.nginx))  # its unit may just have been stopped, or started anew
            return failed

        troubles: list[str] = []
        if check_mode:
            require_writable(edits)
        elif found:
            plan = Plan(
                module=MODULE,
                run_id="",
                edits=edits,
                nginx=[change.nginx for change in changes],
                units=units,
                states=_unit_states.now(states),
                takes_back=[one.record.id for one in found],
            )
            troubles = perform(plan, accept=accept, take_up=take_up)
    runs = _runs(committed, in_force)
    return Result(run_id, runs, found, edits, units, states=told, recovered=recovered, troubles=troubles)


def _runs(committed: Sequence[Journal], in_force: Sequence[Journal]) -> list[dict[str, Any]]:
    """Each run once, where its last change puts it."""
    last: dict[str, Journal] = {}
    for one in committed:
        last.setdefault(one.record.whole_run, one)
    standing = {one.record.whole_run for one in in_force}
    return [
        {
            "run_id": run_id,
            "named": run_id != one.record.id,
            "changed_at": one.record.started,
            "rollback": one.record.module == MODULE,
            "in_force": run_id in standing,
        }
        for run_id, one in last.items()
    ]


def _committed() -> list[Journal]:
    """What was changed and not put back at once, newest first."""
    found = [one for one in reversed(_journal.finished()) if one.state == "committed"]
    hidden = _journal.others_record()
    if not found and hidden is not None:
        raise JournalError(f"{hidden} holds what root changed on this host, this user changed nothing; run with become")
    return found


def _in_force(committed: Sequence[Journal]) -> list[Journal]:
    """What was not taken back since, newest first."""
    gone: set[str] = set()
    for one in committed:
        if one.record.id not in gone:  # else it was taken back, and what it took back with it
            gone.update(one.record.takes_back)
    return [one for one in committed if one.record.id not in gone]


def _parts(in_force: Sequence[Journal], run_id: str) -> list[Journal]:
    """What is of one run. It may have parts, named RUN/PART, that can be taken back alone."""
    return [one for one in in_force if f"{one.record.run_id}/".startswith(f"{run_id}/")]


def _edits(journals: Sequence[Journal], others: Sequence[Journal], *, force: bool) -> list[Edit]:
    """From what every file holds now to what it held before the oldest of the transactions."""
    newest: dict[str, FileRecord] = {}
    oldest: dict[str, tuple[Journal, int]] = {}
    edited: dict[str, dict[str, None]] = {}  # by how: the files
    for journal in journals:
        for number, one in enumerate(journal.record.files):
            now = newest.setdefault(one.real, one)
            known = oldest.get(one.real)
            follows = checksum(read(Path(one.real))) if known is None else _record(known).before
            if follows != one.after:
                later = [other for other in others if other.record.id > journal.record.id]
                edited.setdefault(_how(one, later), {})[now.path] = None
            oldest[one.real] = (journal, number)
    if edited and not force:
        told = ", ".join(f"{', '.join(paths)}: {how}" for how, paths in edited.items())
        raise InterferenceError(f"{told}, nothing was taken back; undo that first, or lose it with force")
    edits = [_edit(real, *place) for real, place in oldest.items()]
    return [edit for edit in edits if edit.old != edit.new]


def _how(left: FileRecord, later: Sequence[Journal]) -> str:
    """Who changed a file from what a run had left there."""
    found = (one for one in later for file in one.record.files if (file.real, file.before) == (left.real, left.after))
    journal = next(found, None)
    return "edited since the run" if journal is None else f"changed since by {journal}"


def _record(place: tuple[Journal, int]) -> FileRecord:
    journal, number = place
    return journal.record.files[number]


def _edit(real: str, journal: Journal, number: int) -> Edit:
    one = journal.record.files[number]
    return Edit(
        path=real,
        old=read(Path(real)),
        new=journal.before(number),
        wanted=one.attributes,
        empty=tuple(reversed(one.made)),
    )


def _units(journals: Sequence[Journal]) -> list[UnitAction]:
    units: dict[str, UnitAction] = {}
    for one in (unit for journal in journals for unit in journal.record.units):
        if one.unit not in units or units[one.unit].action == "none":
            units[one.unit] = one
    return list(units.values())


def _changes(journals: Sequence[Journal], edits: Sequence[Edit]) -> list[Change]:
    """What each nginx gets of it."""
    files: dict[str, set[str]] = {}
    nginx: dict[str, Nginx] = {}
    for journal in journals:
        for one in journal.record.nginx:
            nginx.setdefault(one.config, one)
            files.setdefault(one.config, set()).update(file.real for file in journal.record.files)
    return [
        _change(_as_it_runs(one), [edit for edit in edits if edit.path in files[config]])
        for config, one in nginx.items()
    ]


def _change(nginx: Nginx, edits: Sequence[Edit]) -> Change:
    # No questions: the run may have mended what is broken again now, and that is what was asked for.
    old: Mapping[str, bytes | None] = {edit.path: edit.old for edit in edits}
    return Change(nginx=nginx, old=old, new={edit.path: edit.new for edit in edits}, questions={})


def _as_it_runs(nginx: Nginx) -> Nginx:
    try:
        return nginx_instances(nginx.config)[0]
    except RouteError:
        return replace(nginx, pid=None)  # it is gone: its files are put back all the same


def _told(edit: Edit) -> str:
    return "removed" if edit.new is None else "as before the run"


def _text(content: bytes | None) -> str:
    return (content or b"").decode("utf-8", "backslashreplace")
