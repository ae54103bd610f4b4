# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Putting a host back to how it was before a transaction: after a failure, and after a crash."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Callable, Collection, Iterable

from ansible_collections.sre.bad_gateway.plugins.module_utils._change import _journal, _systemd, _unit_states
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._errors import (
    ChangeError,
    InterferenceError,
    WriteError,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._journal import (
    FileRecord,
    Journal,
    UnitAction,
    UnitState,
    checksum,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._reload import resume
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._replace import (
    install,
    read,
    remove,
    remove_empty,
    stage,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._signals import ends_wait


def recover(*, force: bool = False) -> list[str]:
    """Take back what a killed change left, newest first, and say so; to be called by who holds the lock."""
    told = []
    for journal in reversed(_journal.unfinished()):
        edited = [one.path for one in journal.record.files if not _is_known(one)]
        if edited and not force:
            raise InterferenceError(
                f"{', '.join(edited)}: edited since {journal} was killed in the middle, so it is not taken back by "
                f"itself. What the files held before is in {journal.directory}/before; make them as they should be and "
                "move that directory away, or take it back over the edit with sre.bad_gateway.rollback and force"
            )
        told.append(f"took back {journal}, which was killed in the middle")
        told += restore(journal, range(len(journal.record.files)), activate=True, force=force)
    return told


def found_unfinished() -> list[str]:
    """What `recover` would take back."""
    return [f"would first take back {one}, which was killed in the middle" for one in _journal.unfinished()]


def restore(journal: Journal, touched: Collection[int], *, activate: bool, force: bool = False) -> list[str]:
    """Put the touched files back and let nginx and systemd take them up; InterferenceError names what others edited."""
    with ends_wait():
        edited = []
        for number, one in reversed(list(enumerate(journal.record.files))):
            with suppress(FileNotFoundError):
                journal.temporary(number).unlink()
            if number not in touched:
                _remove_directories(one)
            elif force or _is_known(one):
                _put_back(journal, number)
            else:
                edited.append(one.path)
        told = _taken_up(journal) if activate else []
        if edited:
            raise InterferenceError(
                f"{', '.join(edited)}: somebody edited it in the meantime; what it held before is in "
                f"{journal.directory}/before"
            )
        journal.mark("rolled_back")
    return told


def _is_known(one: FileRecord) -> bool:
    return checksum(read(Path(one.real))) in (one.before, one.after)


def _put_back(journal: Journal, number: int) -> None:
    one = journal.record.files[number]
    real, content = Path(one.real), journal.before(number)
    try:
        if content is None:
            remove(real)
        elif checksum(read(real)) != one.before:
            stage(journal.temporary(number), content, one.attributes)
            install(journal.temporary(number), real)
    except OSError as error:
        raise WriteError(f"{one.path}: cannot be put back: {error.strerror}") from error
    _remove_directories(one)


def _remove_directories(one: FileRecord) -> None:
    for directory in reversed(one.made):
        remove_empty(Path(directory))


def take_up_units(units: Iterable[UnitAction], states: Iterable[UnitState]) -> list[str]:
    """Let systemd read its units again, bring back how units were, and do once more what made them take files up.

    Says what they did not do: a unit that does not start with its former files may not have done so before, and that
    keeps no file from its place.
    """
    wanted, was = list(units), list(states)
    steps = _unit_states.steps(was)
    told = [line for step in steps if step.first for line in _tried(step.do)]
    if wanted:
        _systemd.daemon_reload()
    told += [line for step in steps if not step.first for line in _tried(step.do)]
    settled = {one.unit for one in was if one.running is False} | {step.unit for step in steps if step.settles}
    for one in wanted:
        if one.action != "none" and one.unit not in settled:
            told += _tried(partial(_systemd.revive, one.action, one.unit))
    return told


def _tried(deed: Callable[[], None]) -> list[str]:
    try:
        deed()
    except (ChangeError, OSError) as error:
        return [str(error)]
    return []


def _taken_up(journal: Journal) -> list[str]:
    told = take_up_units(journal.record.units, journal.record.states)
    return told + [line for nginx in journal.record.nginx for line in resume(nginx)]
