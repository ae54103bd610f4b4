# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""`nginx -t`, also of files that are not in place yet: a private mount namespace shows them to it alone."""

from __future__ import annotations

import ctypes
import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Mapping, Sequence

from ansible_collections.sre.bad_gateway.plugins.module_utils._change._staging import Mount, staged

_CLONE_NEWNS = 0x00020000
_CLONE_NEWUSER = 0x10000000
_MS_BIND = 0x1000
_MS_REC = 0x4000
_MS_PRIVATE = 0x40000

_TIMEOUT = 60  # seconds; names that do not resolve make nginx wait


@dataclass(frozen=True)
class Nginx:
    """One nginx, as far as a change has to know it."""

    id: str
    binary: str
    config: str
    prefix: str
    pid: int | None  # of the master; None: it does not run
    unit: str | None
    directives: str | None = None  # of its -g option
    version: str = ""  # empty when it is not known
    plus: bool = False


@dataclass(frozen=True)
class Verdict:
    ok: bool
    output: str  # what nginx said, or why it could not be asked
    ran: bool = True


class _NamespaceError(OSError):
    """The private mount namespace could not be had."""


def validate_live(nginx: Nginx) -> Verdict:
    """`nginx -t` with the instance's own binary, -p and -c."""
    return _test(nginx, prepare=None)


def validate_with(nginx: Nginx, files: Mapping[str, bytes | None]) -> Verdict:
    """`nginx -t` as if `files` had been written (None: removed) already. Nobody else sees a thing of it."""
    try:
        with tempfile.TemporaryDirectory(prefix="bad_gateway_") as directory:
            return _in_namespace(nginx, staged(Path(directory), files))
    except OSError as error:
        return Verdict(ok=False, ran=False, output=f"{error.filename}: {error.strerror}")


def _in_namespace(nginx: Nginx, mounts: Sequence[Mount]) -> Verdict:
    readable, writable = os.pipe()
    libc = ctypes.CDLL(None, use_errno=True)
    ids = (os.geteuid(), os.getegid())

    def prepare() -> None:
        try:
            _enter(libc, ids, mounts)
        except OSError as error:
            os.write(writable, str(error).encode())
            raise

    try:
        return _test(nginx, prepare=prepare)
    except subprocess.SubprocessError:
        os.close(writable)
        writable = -1
        why = os.read(readable, 1000).decode(errors="replace")
        return Verdict(ok=False, ran=False, output=why)
    finally:
        os.close(readable)
        if writable >= 0:
            os.close(writable)


def _enter(libc: ctypes.CDLL, ids: tuple[int, int], mounts: Sequence[Mount]) -> None:
    """Runs in the child, between fork and exec: a mount namespace of its own, with the mounts in it."""
    uid, gid = ids
    # A plain user may have mounts of its own inside a user namespace, where the system permits that.
    _check(libc.unshare(_CLONE_NEWNS | (_CLONE_NEWUSER if uid else 0)), "unshare")
    if uid:
        for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
            Path("/proc/self", name).write_text(text)
    _check(libc.mount(b"none", b"/", None, ctypes.c_ulong(_MS_REC | _MS_PRIVATE), None), "mount --make-rprivate /")
    for one in mounts:
        source, target = os.fsencode(one.source), os.fsencode(one.target)
        _check(
            libc.mount(source, target, None, ctypes.c_ulong(_MS_BIND | _MS_REC), None),
            f"mount over {one.target}",
        )


def _check(result: int, what: str) -> None:
    if result:
        errno = ctypes.get_errno()
        raise _NamespaceError(errno, f"{what}: {os.strerror(errno)}")


def _test(nginx: Nginx, *, prepare: Callable[[], None] | None) -> Verdict:
    given = ["-g", nginx.directives] if nginx.directives else []
    try:
        # The child enters its namespaces before nginx starts, which run_command of AnsibleModule cannot do.
        answer = subprocess.run(  # pylint: disable=ansible-bad-function
            [nginx.binary, "-t", "-p", nginx.prefix, "-c", nginx.config, *given],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            preexec_fn=prepare,
            timeout=_TIMEOUT,
            check=False,
        )
    except OSError as error:
        return Verdict(ok=False, ran=False, output=f"{nginx.binary}: {error.strerror}")
    except subprocess.TimeoutExpired:
        return Verdict(ok=False, output=f"nginx -t did not end within {_TIMEOUT} s")
    return Verdict(ok=answer.returncode == 0, output=answer.stdout.decode("utf-8", "replace").strip())
