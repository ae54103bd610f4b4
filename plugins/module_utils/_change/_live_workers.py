# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""gunicorn's workers while it runs: counted, and made more or fewer without ending a request."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from ansible_collections.sre.bad_gateway.plugins.module_utils._change._errors import ChangeError
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._app_servers._capacity import workers_of
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._app_servers._start import program_of
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._processes import (
    Process,
    ProcessTable,
    read_processes,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._shared import Notes

#: They wait for what they have started, and their arguments name it too.
_WRAPPERS = ("sh", "bash", "dash", "tini", "dumb-init", "uv", "poetry", "pipenv")
_PAUSE = 0.2
#: One worker is gone for a moment while another takes its place, and a reload doubles all of them.
_LOOKS = 10
#: A worker that cannot work ends soon after its start, and may end its master.
_SETTLED = 2.0
#: A worker that is to go finishes its request first; a signal that came with others may be lost, and is sent again.
_PATIENCE = 35.0
_LONGEST = 180.0


class WorkersError(ChangeError):
    """The workers cannot be as many as asked for; the message names the unit and the remedy."""


def running(unit: str) -> int | None:
    """How many workers a unit's gunicorn has; None when it does not run."""
    master = master_of(unit, read_processes(notes=Notes()))
    if master is None:
        return None
    count = _count(unit, master)
    for _look in range(_LOOKS):
        before, count = count, _after_a_pause(unit, master)
        if count == before:
            break
    return count


def youngest(unit: str) -> float | None:
    """When its last worker started, in seconds since the epoch; None when none runs."""
    table = read_processes(notes=Notes())
    master = master_of(unit, table)
    pids = workers_of(master, table) if master else []
    return max((table.processes[pid].started for pid in pids), default=None)


def bring_to(unit: str, workers: int) -> None:
    """Make it that many workers, one by one; WorkersError when they do not come, stay or go in time."""
    master = master_of(unit, read_processes(notes=Notes()))
    if master is None:
        return
    end = time.monotonic() + _LONGEST
    count = _count(unit, master)
    while count != workers or not _stays(unit, master, workers):
        if time.monotonic() > end:
            raise WorkersError(
                f"{unit}: {count} workers run after {_LONGEST:g} s, not {workers}; its log says why they do not stay"
            )
        if count != workers:
            _tell(unit, master, signal.SIGTTIN if count < workers else signal.SIGTTOU)
        count = _changed(unit, master, count)


def master_of(unit: str, table: ProcessTable) -> Process | None:
    """The process that starts the workers; None when it does not run."""
    own = {process.pid: process for process in table if process.unit == unit and _is_gunicorn(process)}
    masters = [process for process in own.values() if process.parent not in own]
    if len(masters) > 1:
        raise WorkersError(
            f"{unit}: it runs {len(masters)} gunicorn, and only one can be meant; give each its own unit"
        )
    return masters[0] if masters else None


def _is_gunicorn(process: Process) -> bool:
    return program_of(process.argv) == "gunicorn" and Path(process.argv[0]).name not in _WRAPPERS


def _tell(unit: str, master: Process, what: int) -> None:
    try:
        os.kill(master.pid, what)
    except OSError as error:
        raise WorkersError(f"{unit}: process {master.pid} takes no signal: {error.strerror}") from error


def _changed(unit: str, master: Process, before: int) -> int:
    """The next count that is another one, or the same when none comes."""
    end = time.monotonic() + _PATIENCE
    while True:
        count = _after_a_pause(unit, master)
        if count != before or time.monotonic() > end:
            return count


def _stays(unit: str, master: Process, workers: int) -> bool:
    end = time.monotonic() + _SETTLED
    while time.monotonic() < end:
        if _after_a_pause(unit, master) != workers:
            return False
    return True


def _after_a_pause(unit: str, master: Process) -> int:
    time.sleep(_PAUSE)
    return _count(unit, master)


def _count(unit: str, master: Process) -> int:
    table = read_processes(notes=Notes())
    now = table.processes.get(master.pid)
    if now is None or now.unit != unit:
        raise WorkersError(f"{unit}: its gunicorn ended meanwhile; see `systemctl status {unit}`, then run again")
    return len(workers_of(master, table))
