# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The forked children that probe: what a process gives up to become nginx's worker it cannot take back.

Each resolves names there too, and sends every result as a line of JSON as soon as it has it, so that whatever hangs
costs only itself.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import select
import signal
import socket
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from ansible_collections.sre.bad_gateway.plugins.module_utils._observe import _connection
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._connection import Call, Result
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._instances import Credentials
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._manners import Tls
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._processes import namespace_of
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._shared import reason

if TYPE_CHECKING:
    import ssl

_NAMESPACES = {"net": 0x40000000, "mnt": 0x00020000}  # CLONE_NEWNET, CLONE_NEWNS
_THREADS = 128  # they mostly wait
_LEAD = 0.2  # seconds


class Viewpoint(NamedTuple):
    """As whom to look: an nginx instance, or with `pid` and `credentials` None the user that runs this."""

    instance: str
    pid: int | None
    credentials: Credentials | None


class Task(NamedTuple):
    """What one child does."""

    viewpoint: Viewpoint
    calls: Sequence[Call]
    hosts: Sequence[str]


@dataclass
class Resolved:
    addresses: list[str] = field(default_factory=list)
    error: str | None = None


def messages(tasks: Sequence[Task], *, mode: str, seconds: float) -> Iterator[tuple[int, dict[str, Any]]]:
    """Fork a child for each task; yield (task, what it says) until all is said or the time is over."""
    deadline = time.monotonic() + seconds
    children: list[_Forked] = []
    try:
        for task in tasks:
            children.append(_fork(task, mode=mode, deadline=deadline))  # one by one: a failure leaves none behind
        yield from _read(children, deadline=deadline)
    finally:
        for child in children:
            child.end()


# --- in the parent ----------------------------------------------------------------------------------------------------


class _Forked:
    def __init__(self, pid: int, reader: int) -> None:
        self.reader = reader
        self._pid = pid
        self._rest = b""

    def read(self) -> list[bytes] | None:
        """The whole lines that came; None at the end."""
        data = os.read(self.reader, 1 << 16)
        if not data:
            return None
        *lines, self._rest = (self._rest + data).split(b"\n")
        return lines

    def end(self) -> None:
        os.close(self.reader)
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)


def _fork(task: Task, *, mode: str, deadline: float) -> _Forked:
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.close(reader)
            _Child(writer, mode=mode, deadline=deadline).run(task)
            status = 0
        except BaseException:  # the child must end here, whatever happens; what it did not send counts as not probed
            traceback.print_exc()
        finally:
            os._exit(status)
    os.close(writer)
    return _Forked(pid, reader)


def _read(children: Sequence[_Forked], *, deadline: float) -> Iterator[tuple[int, dict[str, Any]]]:
    speaking = {child.reader: number for number, child in enumerate(children)}
    while speaking:
        left = deadline - time.monotonic()
        ready = select.select(list(speaking), [], [], left)[0] if left > 0 else []
        if not ready:
            return
        for reader in ready:
            number = speaking[reader]
            lines = children[number].read()
            if lines is None:
                del speaking[reader]
            for line in lines or ():
                yield number, json.loads(line)


# --- in the child -----------------------------------------------------------------------------------------------------


def resolve(host: str) -> Resolved:
    """All addresses in getaddrinfo's order, as nginx takes them when it starts."""
    try:
        # As bytes, which nginx passes on too: for text Python would load a codec, from files that may be out of reach.
        found = socket.getaddrinfo(host.encode(), None, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    except socket.gaierror as error:
        return Resolved(error=error.strerror)
    return Resolved(addresses=list(dict.fromkeys(str(entry[4][0]) for entry in found)))


def _enter(viewpoint: Viewpoint) -> list[tuple[str, str]]:
    """Become nginx's worker as far as permitted; return (what, why) of what was not."""
    refused = []
    if viewpoint.pid is not None:
        handles = []
        for kind, flag in _NAMESPACES.items():
            what = f"probes inside the {kind} namespace of nginx's master"
            try:
                if namespace_of(viewpoint.pid, kind) != namespace_of("self", kind):
                    handles.append((what, os.open(f"/proc/{viewpoint.pid}/ns/{kind}", os.O_RDONLY), flag))
            except OSError as error:
                refused.append((what, reason(error)))
        libc = ctypes.CDLL(None, use_errno=True)
        for what, handle, flag in handles:
            if libc.setns(handle, flag) != 0:
                refused.append((what, os.strerror(ctypes.get_errno())))
    if viewpoint.credentials and os.geteuid() != viewpoint.credentials.uid:
        try:
            os.setgroups(viewpoint.credentials.groups)
            os.setgid(viewpoint.credentials.gid)
            os.setuid(viewpoint.credentials.uid)
        except OSError as error:
            refused.append((f"probes as nginx's user {viewpoint.credentials.name}", reason(error)))
    return refused


class _Child:
    """Runs in the forked process; every method ends up as lines on the pipe."""

    def __init__(self, pipe: int, *, mode: str, deadline: float) -> None:
        self._pipe = os.fdopen(pipe, "w", encoding="utf-8")
        self._lock = threading.Lock()
        self._mode = mode
        # The parent kills this process at the deadline; end a little earlier, so that the answers get through.
        self._deadline = deadline - _LEAD
        self._contexts: dict[tuple[Tls, str], ssl.SSLContext | Exception] = {}

    def run(self, task: Task) -> None:
        self._prepare_tls(task.calls)
        refused = _enter(task.viewpoint)
        self._send(refused=refused, uid=os.geteuid())
        work: list[Callable[[], None]] = [partial(self._resolve, host) for host in task.hosts]
        # When there is more to do than can be done at once, whatever hangs may keep only its share of the time.
        share = (self._deadline - time.monotonic()) * min(1.0, _THREADS / max(1, len(task.calls)))
        work += [partial(self._call, number, one, share) for number, one in enumerate(task.calls)]
        threading.stack_size(256 * 1024)
        with ThreadPoolExecutor(min(_THREADS, max(1, len(work)))) as pool:
            for future in [pool.submit(one) for one in work]:
                future.result()

    def _prepare_tls(self, calls: Sequence[Call]) -> None:
        """As long as we still are who may read nginx's keys, and Python its own modules."""
        for one in calls:
            if one.manner.tls is None or self._mode != "request":
                continue
            importlib.import_module("encodings.idna")  # of server names
            key = (one.manner.tls, one.protocol)
            try:
                self._contexts[key] = self._contexts.get(key) or _connection.tls_context(key[0], protocol=key[1])
            except (OSError, ValueError) as error:
                self._contexts[key] = error

    def _send(self, **message: Any) -> None:
        with self._lock:
            self._pipe.write(json.dumps(message) + "\n")
            self._pipe.flush()

    def _resolve(self, host: str) -> None:
        self._send(host=host, resolved=vars(resolve(host)))

    def _call(self, number: int, wanted: Call, share: float) -> None:
        started = time.monotonic()
        left = self._deadline - started
        if left <= 0:
            return  # the parent says that it was not probed
        try:
            result = self._result(wanted, seconds=min(share, left))
        except Exception as error:  # whatever is wrong with one endpoint, the others are probed
            result = Result(outcome="error", phase="connect", detail=repr(error))
        milliseconds = round((time.monotonic() - started) * 1000)
        self._send(call=number, result=result._asdict(), milliseconds=milliseconds)

    def _result(self, wanted: Call, *, seconds: float) -> Result:
        context = self._contexts.get((wanted.manner.tls, wanted.protocol)) if wanted.manner.tls else None
        if isinstance(context, Exception):
            return Result(outcome="error", phase="tls", detail=f"TLS: its files cannot be used: {reason(context)}")
        return _connection.call(wanted, mode=self._mode, seconds=seconds, context=context)
