# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Listening sockets of app servers in other network namespaces: of containers, and of units with PrivateNetwork=.

nginx does not reach their TCP sockets, whatever their addresses look like; a unix socket it reaches by its path.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._app_servers._start import program_of
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._as_user import look_into
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._processes import (
    Process,
    ProcessTable,
    namespace_of,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._shared import Notes
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._sockets import (
    Socket,
    file_facts,
    find_owners,
    parse_tcp,
    parse_unix,
)

if TYPE_CHECKING:
    from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import Listener

#: So many namespaces are looked into; a host with thousands of containers has its own tools.
_MOST = 32
_UNNAMED = "net:[not known]"


def _network(pid: int | str, proc: Path) -> int | None:
    """What tells network namespaces apart, and unlike their names everybody may see: each has files of its own."""
    try:
        return (proc / str(pid) / "net" / "tcp").stat().st_ino
    except OSError:
        return None


def _name(process: Process, proc: Path) -> str:
    look = partial(namespace_of, process.pid, "net", proc=proc)
    try:
        return str(look_into(process.uid, process.gid, look))
    except OSError:
        return _UNNAMED


def _sockets(pid: int, *, proc: Path, notes: Notes) -> Iterator[Socket]:
    for name, parse in (("tcp", parse_tcp), ("tcp6", parse_tcp), ("unix", parse_unix)):
        path = proc / str(pid) / "net" / name
        try:
            yield from parse(path.read_text("utf-8", "surrogateescape"))
        except FileNotFoundError:
            continue  # no IPv6, or the process ended
        except OSError as error:
            notes.miss(f"listening sockets in the network namespace of process {pid}", error)


def _listener(found: Socket, *, owner: Process, network: str) -> Listener:
    facts = None
    if found.address.startswith("/"):
        try:
            facts = file_facts(Path(found.address))
        except OSError:
            facts = None
    return {
        "transport": found.transport,
        "address": found.address,
        "port": found.port,
        "inode": found.inode,
        "pid": owner.pid,
        "process": owner.name,
        "unit": owner.unit,
        "backlog": None,
        "queued": None,
        "network_namespace": network,
        "file_exists": facts.exists if facts else None,
        "file_is_this_socket": None,
        "file_mode": facts.mode if facts else None,
        "file_owner": facts.owner if facts else None,
    }


def _networks_of_apps(table: ProcessTable, own: int) -> dict[int, Process]:
    """One app server's process for each namespace that is not ours."""
    found: dict[int, Process] = {}
    for process in table:
        if len(found) < _MOST and program_of(process.argv):
            network = _network(process.pid, table.proc)
            if network not in (None, own):
                found.setdefault(network, process)
    return found


def read_foreign_listeners(*, table: ProcessTable, notes: Notes) -> list[Listener]:
    """Those that a process in the same namespace holds."""
    own = _network("self", table.proc)
    if own is None:
        return []  # said already where our own sockets are read
    listeners: list[Listener] = []
    for network, process in _networks_of_apps(table, own).items():
        inside = {one.pid: one for one in table if _network(one.pid, table.proc) == network}
        sockets = list(_sockets(process.pid, proc=table.proc, notes=notes))
        owners = find_owners(
            {one.inode for one in sockets}, table=ProcessTable(processes=inside, proc=table.proc), notes=Notes()
        )
        if sockets and not owners:
            notes.miss("listening sockets of app servers in other networks", "whose they are may not be seen")
        name = _name(process, table.proc)
        listeners += [
            _listener(one, owner=inside[owners[one.inode]], network=name) for one in sockets if one.inode in owners
        ]
    return listeners
