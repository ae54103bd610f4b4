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
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._errors import ReloadError, RouteError
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._instances import nginx_instances
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._validate import Nginx, validate_live
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._shared import Ran

_TIMEOUT = 30.0  # seconds until the new workers have to be there
_DRAIN = 5.0  # seconds that old workers get to finish; one with a long-lived connection may take days
_PAUSE = 0.05


def reload(nginx: Nginx) -> bool:
    """Make a running nginx take up its files and wait until new workers alone serve; False when it does not run."""
    if nginx.pid is None:
        return False
    before = workers(nginx.pid)
    _signal(nginx, nginx.pid)
    _wait_for_new(nginx, nginx.pid, before)
    end = time.monotonic() + _DRAIN
    while before & set(_children(nginx.pid)) and time.monotonic() < end:
        time.sleep(_PAUSE)
    return True


def resume(nginx: Nginx) -> list[str]:
    """Let nginx take up files that were put back; start it where it failed meanwhile. Says what is worth knowing."""
    if nginx.pid is None:
        return []  # it did not run when the files were changed
    now = _running(nginx)
    if now is not None:
        return _reload_if_valid(now)
    if nginx.unit is None or not _is_there("systemctl"):
        return [f"{nginx.id} does not run any more, start it"]
    state = _systemd.properties(nginx.unit, "ActiveState")["ActiveState"]
    if state == "inactive":
        return [f"{nginx.unit} was stopped meanwhile and stays so"]
    _systemd.run(["systemctl", "reset-failed", "--", nginx.unit])
    _systemd.act("start", nginx.unit)
    return [f"{nginx.unit} had failed and was started again"]


def workers(master: int) -> set[int]:
    """The workers that take connections: those that are shutting down finish old ones only."""
    return {pid for pid, title in _children(master).items() if b"shutting down" not in title}


def _children(master: int) -> dict[int, bytes]:
    found = {}
    for directory in Path("/proc").iterdir():
        if directory.name.isdigit():
            try:
                parent = int((directory / "stat").read_bytes().rpartition(b")")[2].split()[1])
                title = (directory / "cmdline").read_bytes() if parent == master else b""
            except OSError:
                continue  # it ended while we looked
            if b"worker process" in title:
                found[int(directory.name)] = title
    return found


def _wait_for_new(nginx: Nginx, master: int, before: set[int]) -> None:
    end = time.monotonic() + _TIMEOUT
    while time.monotonic() < end:
        now = workers(master)
        if now and not now & before:
            return
        if not _is_alive(master):
            raise ReloadError(f"{nginx.id}: nginx ended during the reload; its error log says why")
        time.sleep(_PAUSE)
    raise ReloadError(f"{nginx.id}: no new workers {_TIMEOUT:g} s after the reload; nginx's error log says why")


def _running(nginx: Nginx) -> Nginx | None:
    """The nginx as it runs now: after a crash it may be another process."""
    if nginx.pid is not None and _is_master(nginx.pid):
        return nginx
    try:
        found = nginx_instances(nginx.config)
    except RouteError:
        return None
    return next((one for one in found if one.pid is not None), None)


def _is_alive(pid: int) -> bool:
    try:
        return Path("/proc", str(pid), "stat").read_bytes().rpartition(b")")[2].split()[0] not in (b"Z", b"X")
    except OSError:
        return False


def _is_master(pid: int) -> bool:
    try:
        return b"master process" in Path("/proc", str(pid), "cmdline").read_bytes()
    except OSError:
        return False


def _reload_if_valid(nginx: Nginx) -> list[str]:
    verdict = validate_live(nginx)
    if verdict.ok:
        reload(nginx)
        return []
    return [f"{nginx.id} runs on as it did, nginx -t refuses its files as they were before too: {verdict.output}"]


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
    if not _is_there("systemctl"):
        return False  # a container can show the cgroups of a host whose systemd it does not have
    told = _systemctl("show", "--property=MainPID,CanReload", "--", unit).stdout.split()
    return f"MainPID={pid}" in told and "CanReload=yes" in told


def _is_there(command: str) -> bool:
    return shutil.which(command) is not None


def _systemctl(*words: str) -> Ran:
    return _systemd.run(["systemctl", *words])
