# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Looking with another user's eyes.

root of a container often lacks CAP_SYS_PTRACE and may not look into other users' processes; their own user may.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from typing import Any


def as_user(uid: int, gid: int, look: Callable[[], Any]) -> Any:
    """The result of `look`, JSON data, from a child process with those ids; raises OSError when it gives none."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(reader)
            os.setgroups([])
            os.setgid(gid)
            os.setuid(uid)
            with os.fdopen(writer, "w", encoding="utf-8") as pipe:
                json.dump(look(), pipe)
        finally:
            os._exit(0)  # whatever happened: an answer that is not whole is none
    os.close(writer)
    with os.fdopen(reader, encoding="utf-8") as pipe:
        answer = pipe.read()
    os.waitpid(pid, 0)
    try:
        return json.loads(answer)
    except ValueError:
        raise PermissionError(f"not permitted as user {uid} either") from None


def look_into(uid: int, gid: int, look: Callable[[], Any]) -> Any:
    """The result of `look` with our own eyes, or else, for root, with those of the user that it is about."""
    try:
        return look()
    except PermissionError:
        if os.geteuid() != 0:
            raise
    try:
        return as_user(uid, gid, look)
    except PermissionError:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES)) from None  # in the same words for every user
