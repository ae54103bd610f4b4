# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One connection to one address, and what came of it.

Where the other side does not speak what the route speaks, a second connection or two show what it speaks instead.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ansible_collections.sre.bad_gateway.plugins.module_utils._observe import _protocols
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._manners import Manner, Tls

if TYPE_CHECKING:
    import ssl  # it costs more than all other imports together, and most hosts have no TLS upstream

_READ = 4096
_CONNECT_SECONDS = 2.0  # room for one SYN sent again
_QUESTION_SECONDS = 1.0
_BODY_SECONDS = 0.5
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
_NOT_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE")
_ENDED = ("UNEXPECTED_EOF_WHILE_READING", "EOF occurred")


class Call(NamedTuple):
    """One connection to make."""

    transport: str  # tcp | unix
    protocol: str
    address: str  # IP address or path
    port: int | None
    manner: Manner

    @property
    def question(self) -> tuple[object, ...]:
        """Equal for connections that would be the same: who only sends another Host asks no new question."""
        return (self.transport, self.protocol, self.address, self.port, self.manner.tls)


class Result(NamedTuple):
    outcome: str
    phase: str
    detail: str
    errno: int | None = None
    status: int | None = None
    speaks: str | None = None
    denied_at: str | None = None  # first path on the way, itself last, that this user may not pass or write to


def outcome_of(error: OSError) -> str:
    """By errno number, never by text."""
    if isinstance(error, socket.timeout):
        return "timeout"
    return _OUTCOMES.get(error.errno or 0, "error")


def call(wanted: Call, *, mode: str, seconds: float, context: ssl.SSLContext | None) -> Result:
    """Connect and ask; `seconds` bounds all of it."""
    deadline = time.monotonic() + seconds
    # An HTTP server that is asked in another protocol may wait for the end of a line: leave time to ask it for that.
    plain = wanted.protocol == "http"
    begin = time.monotonic()
    result = _try(wanted, mode=mode, deadline=deadline - (0 if plain else seconds * 0.4), context=context)
    if _is_suspect(wanted, result):
        return _second_look(wanted, result, took=time.monotonic() - begin, deadline=deadline)
    return result


# --- the route's own protocol -----------------------------------------------------------------------------------------


def _failed(error: OSError, phase: str) -> Result:
    library = getattr(error, "reason", None)  # of ssl.SSLError: "WRONG_VERSION_NUMBER"; its errno is not an errno
    if isinstance(library, str):
        return _tls_failed(error, library, phase)
    if type(error).__name__ == "SSLEOFError":
        return Result(outcome="closed", phase=phase, detail="closed the connection within the TLS handshake")
    outcome = outcome_of(error)
    number = error.errno
    detail = os.strerror(number) if number else "no answer in time" if outcome == "timeout" else str(error)
    return Result(outcome=outcome, phase=phase, detail=detail, errno=number)


def _tls_failed(error: OSError, library: str, phase: str) -> Result:
    if library in _NOT_TLS:
        return Result(outcome="mismatch", phase=phase, detail=f"it does not speak TLS: {library}")
    if library.startswith(_ENDED):
        return Result(outcome="closed", phase=phase, detail="closed the connection within the TLS handshake")
    why = getattr(error, "verify_message", "") or library
    return Result(outcome="error", phase=phase, detail=f"TLS: {why}")


def _open(wanted: Call, timeout: float) -> socket.socket:
    family = (
        socket.AF_UNIX if wanted.transport == "unix" else socket.AF_INET6 if ":" in wanted.address else socket.AF_INET
    )
    channel = socket.socket(family, socket.SOCK_STREAM)
    channel.settimeout(max(0.01, timeout))  # non-blocking underneath, so that a full unix queue answers EAGAIN
    try:
        channel.connect(wanted.address if wanted.transport == "unix" else (wanted.address, wanted.port))
    except OSError:
        channel.close()
        raise
    return channel


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
        if _protocols.spoken(data) not in (None, "http"):
            return data
    return data


def _rest(channel: socket.socket, *, deadline: float) -> bytes:
    """What still comes of a short answer."""
    data = b""
    until = min(deadline, time.monotonic() + _BODY_SECONDS)
    with contextlib.suppress(OSError):
        while len(data) < _READ and time.monotonic() < until:
            channel.settimeout(max(0.01, until - time.monotonic()))
            more = channel.recv(_READ)
            if not more:
                break
            data += more
    return data


def _talk(channel: socket.socket, wanted: Call, *, deadline: float) -> Result:
    phase = "send"
    try:
        channel.sendall(_protocols.request(wanted.protocol, wanted.manner.host, script=wanted.manner.script))
        phase = "read"
        data = _receive(channel, deadline=deadline)
    except OSError as error:
        return _failed(error, phase)
    if not data:
        return Result(outcome="closed", phase="read", detail="closed the connection without an answer")
    answer = _protocols.read_answer(wanted.protocol, data)
    if answer.status == 400:  # why, stands in the body
        answer = _protocols.read_answer(wanted.protocol, data + _rest(channel, deadline=deadline))
    return Result(
        outcome=answer.outcome, phase="read", detail=answer.detail, status=answer.status, speaks=answer.speaks
    )


def _try(wanted: Call, *, mode: str, deadline: float, context: ssl.SSLContext | None) -> Result:
    try:
        channel = _open(wanted, min(_CONNECT_SECONDS, deadline - time.monotonic()))
    except OSError as error:
        return _explained(wanted, _failed(error, "connect"))
    with channel:
        if mode == "connect":
            return Result(outcome="connected", phase="connect", detail="connected; nothing was sent")
        if wanted.manner.tls is None or context is None:
            return _talk(channel, wanted, deadline=deadline)
        try:
            channel.settimeout(max(0.01, deadline - time.monotonic()))
            inner = context.wrap_socket(channel, server_hostname=wanted.manner.tls.server_name)
        except OSError as error:  # ssl.SSLError is one
            return _failed(error, "tls")
        with inner:
            if not _is_for(inner, wanted.manner.tls):
                return Result(
                    outcome="error", phase="tls", detail=f"TLS: the certificate is not for {wanted.manner.tls.name}"
                )
            return _talk(inner, wanted, deadline=deadline)


def first_denied(path: Path) -> str | None:
    """Which path on the way this user may not pass, or write to if it is the last; the kernel itself is asked."""
    for parent in reversed(path.parents):
        if not os.access(parent, os.X_OK):
            return str(parent)
    return None if os.access(path, os.W_OK) else str(path)


def _explained(wanted: Call, result: Result) -> Result:
    if result.outcome != "denied" or wanted.transport != "unix":
        return result
    denied = first_denied(Path(wanted.address))
    where = f" at {denied}" if denied else ""
    return result._replace(
        denied_at=denied, detail=f"{result.detail}{where}; whether anything listens there cannot be seen"
    )


# --- TLS --------------------------------------------------------------------------------------------------------------


def tls_context(tls: Tls, *, protocol: str) -> ssl.SSLContext:
    """As nginx makes it; raises OSError or ValueError when a file of it cannot be used."""
    import ssl  # noqa: PLC0415  # see above

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False  # nginx compares the name by itself, also where it sends none
    context.verify_mode = ssl.CERT_REQUIRED if tls.trusted else ssl.CERT_NONE
    if tls.trusted:
        context.load_verify_locations(tls.trusted)
    if tls.certificate:
        context.load_cert_chain(tls.certificate, tls.key, password="")  # never ask on a terminal
    versions = [getattr(ssl.TLSVersion, name.replace(".", "_"), None) for name in tls.protocols]
    known = sorted(version for version in versions if version is not None)
    if known:
        context.minimum_version, context.maximum_version = known[0], known[-1]
    if protocol == "grpcs":
        context.set_alpn_protocols(["h2"])
    return context


def names_match(pattern: str, name: str) -> bool:
    """As X509_check_host() does: a star stands for the whole of the first label."""
    pattern, name = pattern.lower(), name.lower()
    return pattern == name or (pattern.startswith("*.") and name.partition(".")[2] == pattern[2:])


def _is_for(channel: ssl.SSLSocket, tls: Tls) -> bool:
    if tls.trusted is None:
        return True
    certificate: dict[str, Any] = channel.getpeercert() or {}
    alternatives = [str(value) for kind, value in certificate.get("subjectAltName", ()) if kind == "DNS"]
    subject = [str(value) for part in certificate.get("subject", ()) for kind, value in part if kind == "commonName"]
    return any(names_match(pattern, tls.name) for pattern in alternatives or subject)


# --- what else it may speak -------------------------------------------------------------------------------------------


def _is_suspect(wanted: Call, result: Result) -> bool:
    if result.phase == "connect" or result.speaks:
        return False
    if result.outcome == "answered":
        return _protocols.is_doubtful(wanted.protocol, result.status, result.detail)
    silent = result.outcome == "timeout" and wanted.protocol != "http"
    return silent or result.outcome in ("closed", "reset", "mismatch")


def _second_look(wanted: Call, first: Result, *, took: float, deadline: float) -> Result:
    own = "tls" if wanted.manner.tls else wanted.protocol
    names = [name for name in _protocols.QUESTIONS if name != own]
    patience = _QUESTION_SECONDS
    if first.outcome == "answered":
        names = ["http"]
        patience = max(patience, 2 * took)  # who was slow to answer the first time is no faster now
    speaks = next((name for name in names if _answers(wanted, name, patience=patience, deadline=deadline)), None)
    if speaks is None:
        return first
    return first._replace(outcome="mismatch", speaks=speaks, detail=f"it speaks {speaks}: {first.detail}")


def _answers(wanted: Call, name: str, *, patience: float, deadline: float) -> bool:
    left = min(patience, deadline - time.monotonic())
    if left <= 0:
        return False
    question, answers = _protocols.QUESTIONS[name]
    try:
        with _open(wanted, left) as channel:
            channel.sendall(question)
            return _protocols.spoken(_receive(channel, deadline=time.monotonic() + left)) in answers
    except OSError:
        return False
