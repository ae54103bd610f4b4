# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reloading nginx, and knowing that it was done."""

from __future__ import annotations

import os
import shutil
import signal
import time
from pathlib import Path

from ansible_collections.sre.bad_gateway.plugins.module_utils._change import _systemd
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._errors import ReloadError
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._validate import Nginx
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._shared import Ran

_TIMEOUT = 30.0  # seconds until the new workers have to be there
_PAUSE = 0.05


def reload(nginx: Nginx) -> bool:
    """Make a running nginx take up its files and wait until new workers alone serve; False when it does not run."""
    if nginx.pid is None:
        return False
    before = workers(nginx.pid)
    _signal(nginx, nginx.pid)
    end = time.monotonic() + _TIMEOUT
    while time.monotonic() < end:
        now = workers(nginx.pid)
        if now and not now & before:
            return True
        time.sleep(_PAUSE)
    raise ReloadError(f"{nginx.id}: no new workers {_TIMEOUT:g} s after the reload; nginx's error log says why")


def workers(master: int) -> set[int]:
    """The workers that take connections: those that are shutting down finish old ones only."""
    found = set()
    for directory in Path("/proc").iterdir():
        if directory.name.isdigit():
            try:
                parent = int((directory / "stat").read_bytes().rpartition(b")")[2].split()[1])
                title = (directory / "cmdline").read_bytes() if parent == master else b""
            except OSError:
                continue  # it ended while we looked
            if b"worker process" in title and b"shutting down" not in title:
                found.add(int(directory.name))
    return found


def _signal(nginx: Nginx, pid: int) -> None:
    if nginx.unit is not None and _reloads(nginx.unit, pid):
        answer = _systemctl("reload", "--", nginx.unit)
        if answer.status:
            said = answer.stderr.strip() or f"exit code {answer.status}"
            raise ReloadError(f"systemctl reload {nginx.unit}: {said}")
        return
    try:
        os.kill(pid, signal.SIGHUP)
    except OSError as error:
        raise ReloadError(f"{nginx.id}: SIGHUP to the master {pid}: {error.strerror}") from error


def _reloads(unit: str, pid: int) -> bool:
    """Whether the unit is this nginx's own and knows how to reload it; it may be what merely started it."""
    if shutil.which("systemctl") is None:
        return False  # a container can show the cgroups of a host whose systemd it does not have
    told = _systemctl("show", "--property=MainPID,CanReload", "--", unit).stdout.split()
    return f"MainPID={pid}" in told and "CanReload=yes" in told


def _systemctl(*words: str) -> Ran:
    return _systemd.run(["systemctl", *words])
