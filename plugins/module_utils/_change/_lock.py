# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One change at a time on a host, and who makes it."""

from __future__ import annotations

import fcntl
import json
import os
import time
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import Iterator

from ansible_collections.sre.bad_gateway.plugins.module_utils._change._errors import InterferenceError
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._journal import make_state_directory
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._recovery import found_unfinished, recover

_PATIENCE = 60.0  # seconds to wait for another change on this host
_PAUSE = 0.2


@contextmanager
def turn(*, module: str, run_id: str, check_mode: bool = False, force: bool = False) -> Iterator[list[str]]:
    """Hold the host's lock; what a killed change left is taken back first, and said in the list that comes.

    A lock goes with its process, however that ends. In check mode nothing is held and nothing is taken back: the list
    says what would be.
    """
    if check_mode:
        yield found_unfinished()
        return
    path = make_state_directory() / "lock"
    with _locked(path, module=module, run_id=run_id):
        yield recover(force=force)


@contextmanager
def _locked(path: Path, *, module: str, run_id: str) -> Iterator[None]:
    try:
        handle = os.open(str(path), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise InterferenceError(f"{path}: the lock cannot be had: {error.strerror}") from error
    try:
        _wait_for(handle, path)
        with suppress(OSError):  # a full disk keeps the name out, not the lock away
            _sign(handle, module=module, run_id=run_id)
        yield
    finally:
        os.close(handle)


def _wait_for(handle: int, path: Path) -> None:
    end = time.monotonic() + _PATIENCE
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if time.monotonic() > end:
                raise InterferenceError(
                    f"{path}: another change is being made on this host, {_holder(handle)}; "
                    "wait for it or end it, and run again"
                ) from error
            time.sleep(_PAUSE)
        else:
            return


def _sign(handle: int, *, module: str, run_id: str) -> None:
    since = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    os.ftruncate(handle, 0)
    os.pwrite(handle, json.dumps({"pid": os.getpid(), "since": since, "module": module, "run_id": run_id}).encode(), 0)


def _holder(handle: int) -> str:
    try:
        told = json.loads(os.pread(handle, 1000, 0))
        run = f" of run {told['run_id']}" if told["run_id"] else ""
        return f"by {told['module']}{run}, process {told['pid']}, since {told['since']}"
    except (ValueError, KeyError, TypeError):
        return "by a process that has not said its name yet"
