# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Listening sockets with their owners, and what lies at the paths of unix sockets."""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import re
import socket
import stat
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ansible_collections.sre.bad_gateway.plugins.module_utils._observe import _netlink
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._as_user import as_user
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._processes import ProcessTable
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._shared import Notes, reason

if TYPE_CHECKING:
    from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import Listener, SocketFile

_TCP_LISTEN = "0A"
_UNIX_ACCEPTS = 0x00010000  # __SO_ACCEPTCON in the flags of /proc/net/unix
_WORD = struct.Struct("=I")
# Where systemd keeps what a unit with PrivateTmp= sees as /tmp: systemd-private-BOOT-UNIT-RANDOM/tmp
_PRIVATE_TMP = r"^systemd-private-[0-9a-f]{32}-(?P<unit>.+)-[A-Za-z0-9]{6}$"


class Socket(NamedTuple):
    """A listening socket as /proc/net shows it."""

    transport: str
    address: str
    port: int | None
    inode: int


class FileFacts(NamedTuple):
    exists: bool
    inode: int | None = None
    is_socket: bool = False
    mode: str | None = None
    owner: str | None = None


def decode_address(text: str) -> str:
    """An address of /proc/net/tcp{,6}: 32-bit words, each printed as a number in the machine's byte order."""
    words = [_WORD.pack(int(text[start : start + 8], 16)) for start in range(0, len(text), 8)]
    return socket.inet_ntop(socket.AF_INET if len(words) == 1 else socket.AF_INET6, b"".join(words))


def parse_tcp(text: str) -> Iterator[Socket]:
    """The listeners of /proc/net/tcp or tcp6."""
    for line in text.splitlines()[1:]:
        fields = line.split()
        if fields[3] == _TCP_LISTEN:
            address, port = fields[1].split(":")
            yield Socket(transport="tcp", address=decode_address(address), port=int(port, 16), inode=int(fields[9]))


def parse_unix(text: str) -> Iterator[Socket]:
    """The listeners of /proc/net/unix. The path is the rest of the line, blanks included."""
    for line in text.splitlines()[1:]:
        fields = line.split(None, 7)
        if len(fields) == 8 and int(fields[3], 16) & _UNIX_ACCEPTS:
            yield Socket(transport="unix", address=fields[7], port=None, inode=int(fields[6]))


def _read_sockets(*, proc: Path, notes: Notes) -> list[Socket]:
    parsers: dict[str, Callable[[str], Iterator[Socket]]] = {"tcp": parse_tcp, "tcp6": parse_tcp, "unix": parse_unix}
    found: list[Socket] = []
    for name, parse in parsers.items():
        path = proc / "net" / name
        try:
            found += parse(path.read_text("utf-8", "surrogateescape"))
        except FileNotFoundError as error:
            if name != "tcp6":  # a kernel without IPv6 has no such file, and no such sockets
                notes.miss(f"listening sockets of {path}", error)
        except OSError as error:
            notes.miss(f"listening sockets of {path}", error)
    return found


def _read_queues(*, notes: Notes) -> dict[int, _netlink.Queue]:
    queues: dict[int, _netlink.Queue] = {}
    for what, read in (("TCP", _netlink.tcp_queues), ("unix", _netlink.unix_queues)):
        try:
            queues.update(read())
        except OSError as error:
            notes.miss(f"backlog and queue of {what} listeners (netlink sock_diag)", error)
    return queues


def _socket_inodes(directory: Path) -> Iterator[int]:
    for entry in os.scandir(directory):
        try:
            target = os.readlink(entry.path)  # Path.readlink came with Python 3.9
        except FileNotFoundError:
            continue  # closed while we looked
        if target.startswith("socket:["):
            yield int(target[8:-1])


def _held(pids: Iterable[int], *, inodes: set[int], proc: Path) -> tuple[list[tuple[int, int]], list[int]]:
    """((inode, pid) of the sockets in `inodes` that these processes hold, pids that may not be looked into)."""
    held: list[tuple[int, int]] = []
    denied: list[int] = []
    for pid in pids:
        try:
            held += [(inode, pid) for inode in inodes.intersection(_socket_inodes(proc / str(pid) / "fd"))]
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended while we looked
        except OSError:
            denied.append(pid)
    return held, denied


def _by_user(pids: Iterable[int], *, table: ProcessTable) -> dict[tuple[int, int], list[int]]:
    found: dict[tuple[int, int], list[int]] = {}
    for pid in pids:
        process = table.processes[pid]
        found.setdefault((process.uid, process.gid), []).append(pid)
    return found


def _held_by_others(pids: Sequence[int], *, inodes: set[int], table: ProcessTable) -> list[tuple[int, int]]:
    """The same through the eyes of the processes' own users, for a root that may not look into them."""
    held: list[tuple[int, int]] = []
    for (uid, gid), own in _by_user(pids, table=table).items():
        missing = inodes.difference(inode for inode, _pid in held)
        if not missing:
            break
        with contextlib.suppress(OSError):  # what stays without an owner is said once, for all
            held += as_user(uid, gid, partial(_held, own, inodes=missing, proc=table.proc))[0]
    return held


def find_owners(inodes: set[int], *, table: ProcessTable, notes: Notes) -> dict[int, int]:
    """inode -> lowest pid that holds the socket; PID 1 only where no other does.

    It keeps the sockets that it hands to socket-activated services.
    """
    held, denied = _held(table.processes, inodes=inodes, proc=table.proc)
    if denied and os.geteuid() == 0:
        missing = inodes.difference(inode for inode, pid in held if pid != 1)
        held += _held_by_others(denied, inodes=missing, table=table)
    owners: dict[int, int] = {}
    for inode, pid in sorted(held, key=lambda one: (one[1] == 1, one[1])):
        owners.setdefault(inode, pid)
    if denied and len(owners) < len(inodes):
        why = "other users' processes may not be looked into (/proc/PID/fd)"
        notes.miss(f"owners of {len(inodes) - len(owners)} listening sockets", why)
    return owners


def owner_names(status: os.stat_result) -> str:
    """user:group, numbers where there is no name."""
    try:
        user = pwd.getpwuid(status.st_uid).pw_name
    except KeyError:
        user = str(status.st_uid)
    try:
        group = grp.getgrgid(status.st_gid).gr_name
    except KeyError:
        group = str(status.st_gid)
    return f"{user}:{group}"


def file_facts(path: Path) -> FileFacts:
    """What is at `path`; raises OSError when that may not be seen."""
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return FileFacts(exists=False)
    return FileFacts(
        exists=True,
        inode=status.st_ino,
        is_socket=stat.S_ISSOCK(status.st_mode),
        mode=f"{stat.S_IMODE(status.st_mode):04o}",
        owner=owner_names(status),
    )


def _listener(
    found: Socket, *, owners: dict[int, int], queues: dict[int, _netlink.Queue], table: ProcessTable
) -> Listener:
    pid = owners.get(found.inode)
    process = table.processes[pid] if pid is not None else None
    queue = queues.get(found.inode)
    return {
        "transport": found.transport,
        "address": found.address,
        "port": found.port,
        "inode": found.inode,
        "pid": pid,
        "process": process.name if process else None,
        "unit": process.unit if process else None,
        "backlog": queue.backlog if queue else None,
        "queued": queue.queued if queue else None,
        "network_namespace": "",
        "file_exists": None,
        "file_is_this_socket": None,
        "file_mode": None,
        "file_owner": None,
    }


def _add_file(listener: Listener, *, queue: _netlink.Queue | None, notes: Notes) -> None:
    if not listener["address"].startswith("/"):
        return  # TCP, abstract, or bound to a relative path that only its owner knows
    try:
        facts = file_facts(Path(listener["address"]))
    except OSError as error:
        notes.miss(f"socket file {listener['address']}", error)
        return
    listener["file_exists"] = facts.exists
    if facts.inode is not None and queue is not None and queue.file is not None:
        listener["file_is_this_socket"] = facts.inode & 0xFFFFFFFF == queue.file
    listener["file_mode"] = facts.mode
    listener["file_owner"] = facts.owner


def read_listeners(*, table: ProcessTable, notes: Notes) -> list[Listener]:
    """Every listening TCP and unix socket of this network namespace."""
    sockets = _read_sockets(proc=table.proc, notes=notes)
    owners = find_owners({found.inode for found in sockets}, table=table, notes=notes)
    queues = _read_queues(notes=notes)
    listeners = [_listener(found, owners=owners, queues=queues, table=table) for found in sockets]
    for listener in listeners:
        _add_file(listener, queue=queues.get(listener["inode"]), notes=notes)
    return listeners


def missing_parent(path: Path) -> str | None:
    """The topmost directory on the way to `path` that does not exist."""
    for parent in reversed(path.parents):
        if not parent.exists():
            return str(parent)
    return None


def _socket_file(path: str, *, listening: bool, denied_at: str | None, seen_by: Callable[[], list[str]]) -> SocketFile:
    facts = file_facts(Path(path))
    return {
        "path": path,
        "exists": facts.exists,
        "is_socket": facts.is_socket,
        "listening": listening,
        "mode": facts.mode,
        "owner": facts.owner,
        "missing_parent": None if facts.exists else missing_parent(Path(path)),
        "denied_at": denied_at,
        "seen_by": [] if facts.exists else seen_by(),
    }


def units_with_private_file(path: Path, *, root: Path = Path("/")) -> list[str]:
    """The units whose private /tmp or /var/tmp has a file of that name."""
    found = []
    for place in ("tmp", "var/tmp"):
        own = Path("/") / place
        if own not in path.parents:
            continue
        for directory in sorted((root / place).glob("systemd-private-*")):
            private = re.match(_PRIVATE_TMP, directory.name)
            if private and (directory / "tmp" / path.relative_to(own)).exists():
                found.append(private["unit"])
    return found


def _sees(pid: int, path: str, *, table: ProcessTable) -> bool:
    """Whether a process has a file at that path in its own mount namespace."""
    inner = table.proc / str(pid) / f"root{path}"
    try:
        return inner.exists()
    except PermissionError:
        process = table.processes[pid]
        with contextlib.suppress(OSError):
            return bool(as_user(process.uid, process.gid, inner.exists))
    except OSError:
        pass
    return False


def _seen_by(path: str, *, listeners: Iterable[Listener], table: ProcessTable) -> list[str]:
    """The units that see a file at a path where the host itself has none."""
    units = units_with_private_file(Path(path))
    for listener in listeners:
        unit, pid = listener["unit"], listener["pid"]
        fresh = _real(listener["address"]) == _real(path) and unit and unit not in units
        if fresh and pid is not None and _sees(pid, path, table=table):
            units.append(str(unit))
    return units


def _real(path: str) -> str:
    return os.path.realpath(path)  # noqa: PTH118, RUF100


def read_socket_files(
    paths: Iterable[str],
    *,
    listeners: list[Listener],
    table: ProcessTable,
    denied: Mapping[str, str] | None = None,
    notes: Notes,
) -> list[SocketFile]:
    """What is at the paths that routes use. A path that may not be looked at is left out, and said.

    `denied` tells where nginx's worker may not pass on the way to one of them.
    """
    # One path has many spellings: `current/` is a link, and unix:///run/x is /run/x.
    listening = {_real(listener["address"]) for listener in listeners if listener["transport"] == "unix"}
    files: list[SocketFile] = []
    for path in sorted(set(paths)):
        try:
            files.append(
                _socket_file(
                    path,
                    listening=_real(path) in listening,
                    denied_at=(denied or {}).get(path),
                    seen_by=partial(_seen_by, path, listeners=listeners, table=table),
                )
            )
        except OSError as error:
            notes.miss(f"socket file {path}", reason(error))
    return files
