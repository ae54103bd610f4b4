# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Connections to endpoints, made as nginx makes them: in its namespaces, with its workers' user and groups.

A forked child does it, for what it gives up it cannot take back. It resolves names there too, and sends each result as
a line of JSON as soon as it has it, so that whatever hangs costs only itself.
"""

from __future__ import annotations

import ctypes
import errno
import importlib
import json
import os
import pwd
import select
import signal
import socket
import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import Endpoint, Probe
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe import _protocols
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._instances import Credentials
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._processes import namespace_of
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._shared import Notes, reason

_NAMESPACES = {"net": 0x40000000, "mnt": 0x00020000}  # CLONE_NEWNET, CLONE_NEWNS
_THREADS = 128  # they mostly wait
_READ = 4096
_LEAD = 0.2  # seconds
_OUTCOMES = {
    errno.ECONNREFUSED: "refused",
    errno.ENOENT: "missing",
    errno.EACCES: "denied",
    errno.EPERM: "denied",
    errno.EAGAIN: "queue_full",  # only a unix socket says so: its accept queue is full
    errno.ETIMEDOUT: "timeout",
    errno.ENETDOWN: "unreachable",
    errno.ENETUNREACH: "unreachable",
    errno.EHOSTDOWN: "unreachable",
    errno.EHOSTUNREACH: "unreachable",
    errno.EINVAL: "unreachable",  # a blackhole route
    errno.ECONNRESET: "reset",
    errno.EPIPE: "closed",
}


@dataclass(frozen=True)
class Viewpoint:
    """As whom to look: an nginx instance, or with `pid` and `credentials` None the user that runs this."""

    instance: str
    pid: int | None
    credentials: Credentials | None


@dataclass(frozen=True)
class Wanted:
    """One endpoint to look at. `name` goes into Host and SNI."""

    endpoint: str
    transport: str
    protocol: str
    host: str | None
    port: int | None
    path: str | None
    name: str
    addresses: tuple[str, ...]  # none when the name did not resolve
    resolve_error: str | None

    @property
    def targets(self) -> tuple[str, ...]:
        """What to connect to, one after the other as nginx may."""
        return self.addresses if self.path is None else (self.path,)

    @classmethod
    def of(cls, endpoint: Endpoint, *, name: str) -> Wanted:
        return cls(
            endpoint=endpoint["key"],
            transport=endpoint["transport"],
            protocol=endpoint["protocol"],
            host=endpoint["host"],
            port=endpoint["port"],
            path=endpoint["path"],
            name=name,
            addresses=tuple(endpoint["addresses"]),
            resolve_error=endpoint["resolve_error"],
        )


@dataclass
class Resolved:
    addresses: list[str] = field(default_factory=list)
    error: str | None = None


@dataclass(frozen=True)
class _Result:
    outcome: str
    phase: str
    detail: str
    errno: int | None = None
    status: int | None = None


# --- one connection ---------------------------------------------------------------------------------------------------


def outcome_of(error: OSError) -> str:
    """By errno number, never by text."""
    if isinstance(error, socket.timeout):
        return "timeout"
    return _OUTCOMES.get(error.errno or 0, "error")


def _failed(error: OSError, phase: str) -> _Result:
    outcome = outcome_of(error)
    number = error.errno
    detail = os.strerror(number) if number else "no answer in time" if outcome == "timeout" else str(error)
    return _Result(outcome=outcome, phase=phase, detail=detail, errno=number)


def _open(wanted: Wanted, address: str, timeout: float) -> socket.socket:
    family = socket.AF_UNIX if wanted.transport == "unix" else socket.AF_INET6 if ":" in address else socket.AF_INET
    channel = socket.socket(family, socket.SOCK_STREAM)
    channel.settimeout(timeout)  # non-blocking underneath, so that a full unix queue answers EAGAIN as it does to nginx
    try:
        channel.connect(address if wanted.transport == "unix" else (address, wanted.port))
    except OSError:
        channel.close()
        raise
    return channel


def _in_tls(channel: socket.socket, wanted: Wanted) -> socket.socket:
    """TLS without verification, as nginx does by default."""
    import ssl  # noqa: PLC0415  # loaded before, see _Child.run

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if wanted.protocol == "grpcs":
        context.set_alpn_protocols(["h2"])
    return context.wrap_socket(channel, server_hostname=wanted.name or None)


def _receive(channel: socket.socket, *, deadline: float) -> bytes:
    """The first bytes: until a line is whole, so that a status line sent in two parts is not misread."""
    data = b""
    while len(data) < _READ and b"\n" not in data:
        channel.settimeout(max(0.01, deadline - time.monotonic()))
        try:
            more = channel.recv(_READ)
        except socket.timeout:
            if data:
                return data
            raise
        if not more:
            return data
        data += more
        if len(data) >= 9 and not data.startswith(b"HTTP"):
            return data
    return data


def _talk(channel: socket.socket, wanted: Wanted, *, deadline: float) -> _Result:
    phase = "send"
    try:
        channel.sendall(_protocols.request(wanted.protocol, wanted.name))
        phase = "read"
        data = _receive(channel, deadline=deadline)
    except OSError as error:
        return _failed(error, phase)
    if not data:
        return _Result(outcome="closed", phase="read", detail="closed the connection without an answer")
    answer = _protocols.read_answer(wanted.protocol, data)
    return _Result(outcome=answer.outcome, phase="read", detail=answer.detail, status=answer.status)


def _try(wanted: Wanted, address: str, *, mode: str, deadline: float) -> _Result:
    try:
        channel = _open(wanted, address, max(0.01, deadline - time.monotonic()))
    except OSError as error:
        return _failed(error, "connect")
    with channel:
        if mode == "connect":
            return _Result(outcome="connected", phase="connect", detail="connected; nothing was sent")
        if wanted.protocol not in _protocols.TLS:
            return _talk(channel, wanted, deadline=deadline)
        try:
            inner = _in_tls(channel, wanted)
        except OSError as error:  # ssl.SSLError is one
            return _tls_failed(error)
        with inner:
            return _talk(inner, wanted, deadline=deadline)


def _tls_failed(error: OSError) -> _Result:
    library = getattr(error, "reason", None)  # of ssl.SSLError: "WRONG_VERSION_NUMBER"
    if not library:
        return _failed(error, "tls")
    plain = library in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE")
    return _Result(
        outcome="mismatch" if plain else "error",
        phase="tls",
        detail=f"it does not speak TLS: {library}" if plain else f"TLS: {library}",
    )


# --- in the child -----------------------------------------------------------------------------------------------------


def resolve(host: str) -> Resolved:
    """All addresses in getaddrinfo's order, as nginx takes them when it starts."""
    try:
        # As bytes, which nginx passes on too: for text Python would load a codec, from files that may be out of reach.
        found = socket.getaddrinfo(host.encode(), None, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    except socket.gaierror as error:
        return Resolved(error=error.strerror)
    return Resolved(addresses=list(dict.fromkeys(str(entry[4][0]) for entry in found)))


def _shown_address(wanted: Wanted, address: str) -> str:
    if wanted.transport == "unix":
        return f"unix:{address}"
    return f"[{address}]:{wanted.port}" if ":" in address else f"{address}:{wanted.port}"


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
        self._deadline = deadline

    def _send(self, **message: Any) -> None:
        with self._lock:
            self._pipe.write(json.dumps(message) + "\n")
            self._pipe.flush()

    def _resolve(self, host: str) -> None:
        self._send(host=host, **asdict(resolve(host)))

    def _probe(self, endpoint: int, target: int, wanted: Wanted) -> None:
        started = time.monotonic()
        try:
            # The parent kills this process at the deadline; end a little earlier, so that the answer gets through.
            result = _try(wanted, wanted.targets[target], mode=self._mode, deadline=self._deadline - _LEAD)
        except Exception as error:  # whatever is wrong with one endpoint, the others are probed
            result = _Result(outcome="error", phase="connect", detail=repr(error))
        milliseconds = round((time.monotonic() - started) * 1000)
        self._send(endpoint=endpoint, target=target, result=asdict(result), milliseconds=milliseconds)

    def run(self, viewpoint: Viewpoint, wanted: Sequence[Wanted], hosts: Sequence[str]) -> None:
        # What is imported later may be out of the worker's reach. ssl costs more than all other imports together, and
        # most hosts have no TLS upstream.
        if any(one.protocol in _protocols.TLS for one in wanted):
            importlib.import_module("ssl")
            importlib.import_module("encodings.idna")  # of server names
        refused = _enter(viewpoint)
        self._send(refused=refused, uid=os.geteuid())
        tasks = [partial(self._resolve, host) for host in hosts]
        tasks += [
            partial(self._probe, endpoint, target, one)
            for endpoint, one in enumerate(wanted)
            for target in range(len(one.targets))
        ]
        threading.stack_size(256 * 1024)
        with ThreadPoolExecutor(min(_THREADS, max(1, len(tasks)))) as pool:
            for future in [pool.submit(task) for task in tasks]:
                future.result()


def _child_messages(
    viewpoint: Viewpoint, wanted: Sequence[Wanted], hosts: Sequence[str], *, mode: str, seconds: float
) -> Iterator[dict[str, Any]]:
    """Fork, look, and yield what comes back until all is said or the time is over."""
    deadline = time.monotonic() + seconds
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.close(reader)
            _Child(writer, mode=mode, deadline=deadline).run(viewpoint, wanted, hosts)
            status = 0
        except BaseException:  # the child must end here, whatever happens; what it did not send counts as not probed
            traceback.print_exc()
        finally:
            os._exit(status)
    os.close(writer)
    try:
        for line in _lines(reader, deadline=deadline):
            yield json.loads(line)
    finally:
        os.close(reader)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _lines(reader: int, *, deadline: float) -> Iterator[bytes]:
    """Whole lines from the pipe until its end or the deadline."""
    rest = b""
    while True:
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([reader], [], [], left)[0]:
            return
        data = os.read(reader, 1 << 16)
        if not data:
            return
        *lines, rest = (rest + data).split(b"\n")
        yield from lines


# --- in the parent ----------------------------------------------------------------------------------------------------


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _say_refused(refused: list[list[str]], *, notes: Notes) -> None:
    for what, why in refused:
        notes.miss(what, why)


def resolve_names(viewpoint: Viewpoint, hosts: Sequence[str], *, seconds: float, notes: Notes) -> dict[str, Resolved]:
    """Every host name as that viewpoint resolves it, within `seconds`."""
    names: dict[str, Resolved] = {}
    if not hosts:
        return names
    for message in _child_messages(viewpoint, [], hosts, mode="none", seconds=seconds):
        if "host" in message:
            names[message["host"]] = Resolved(addresses=message["addresses"], error=message["error"])
        else:
            _say_refused(message["refused"], notes=notes)
    for host in hosts:
        names.setdefault(host, Resolved(error=f"no answer from the resolver within {seconds:g} s"))
    return names


def _probe_of(
    wanted: Wanted, address: str, result: _Result, *, viewpoint: Viewpoint, user: str, as_nginx: bool, milliseconds: int
) -> Probe:
    return Probe(
        endpoint=wanted.endpoint,
        protocol=wanted.protocol,
        address=address,
        outcome=result.outcome,
        phase=result.phase,
        errno=result.errno,
        detail=result.detail,
        status=result.status,
        instance=viewpoint.instance,
        user=user,
        as_nginx=as_nginx,
        milliseconds=milliseconds,
    )


def look(viewpoint: Viewpoint, wanted: Sequence[Wanted], *, mode: str, seconds: float, notes: Notes) -> list[Probe]:
    """Connect to every address of every endpoint within `seconds`. One Probe for each, also where it was not made."""
    made: dict[tuple[int, int], tuple[_Result, int]] = {}
    user, as_nginx = _user(os.geteuid()), False
    for message in _child_messages(viewpoint, wanted, [], mode=mode, seconds=seconds) if wanted else ():
        if "refused" in message:
            user = _user(message["uid"])
            as_nginx = viewpoint.credentials is not None and not message["refused"]
            _say_refused(message["refused"], notes=notes)
        else:
            made[message["endpoint"], message["target"]] = _Result(**message["result"]), message["milliseconds"]
    say = partial(_probe_of, viewpoint=viewpoint, user=user, as_nginx=as_nginx)
    over = _Result(outcome="not_probed", phase="connect", detail=f"not done within {seconds:g} s")
    probes = []
    for number, one in enumerate(wanted):
        for position, target in enumerate(one.targets):
            result, milliseconds = made.get((number, position), (over, 0))
            probes.append(say(one, _shown_address(one, target), result, milliseconds=milliseconds))
        if not one.targets:
            unresolved = _Result(outcome="unresolved", phase="resolve", detail=one.resolve_error or "")
            probes.append(say(one, "", unresolved, milliseconds=0))
    return probes
