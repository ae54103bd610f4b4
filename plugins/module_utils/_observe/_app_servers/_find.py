# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""App servers: the processes that answer behind nginx, or the units that should start them.

Settings files are read as data, never executed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._app_servers._capacity import (
    NOT_MEASURED,
    Cgroups,
    measure,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._app_servers._readers import reader_of
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._app_servers._reading import (
    Reading,
    endpoint_key,
    parse_bind,
    unreadable,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._app_servers._start import (
    KINDS,
    Start,
    expanded,
    is_title,
    prefixes_of,
    program_of,
    program_words,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._app_servers._unknown import (
    may_be_app,
    may_serve,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._app_servers._versions import version_of
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._as_user import look_into
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._processes import (
    Process,
    ProcessTable,
    environment_of,
    in_container,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._redact import redact
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._shared import Notes, local_time
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._units import UnitFacts, Units

if TYPE_CHECKING:
    from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import AppServer, EndpointKey, Listener

#: They start and watch app servers in a unit of their own, which is not to be restarted for the sake of one of them.
_SUPERVISOR = r"(?:supervisord|PM2 .*|circusd|runsv|s6-supervise)$"

_STREAM = " (Stream)"  # as systemctl shows ListenStream=
_DEBIAN_UWSGI = r"(?:/etc/init\.d/|/usr/share/uwsgi/)"


class _Server(NamedTuple):
    """One app server before its settings are read."""

    program: str  # or "other"
    unit: str | None
    start: Start | None
    root: Process | None  # its master; None when it does not run
    pids: tuple[int, ...] = ()
    listens: tuple[EndpointKey, ...] = ()
    started_by: str | None = None
    handed: str = ""  # the .socket unit that listens for it
    handed_keys: tuple[EndpointKey, ...] = ()


def listener_key(listener: Listener) -> EndpointKey:
    if listener["transport"] == "unix":
        return f"unix:{listener['address']}"
    return endpoint_key(listener["address"], listener["port"] or 0)


def _reachable(listener: Listener, *, proc: Path) -> bool:
    """Whether nginx could reach it: in another network only by a path, in a container not even so."""
    if not listener["network_namespace"]:
        return True
    contained = listener["pid"] is not None and in_container(listener["pid"], proc=proc)
    return listener["transport"] == "unix" and not contained


def _unit_start(facts: UnitFacts) -> Start:
    directory = facts.unit["working_directory"].lstrip("!-")
    argv = expanded(facts.argv, facts.environment)
    return Start(
        argv=program_words(argv),
        environment=facts.environment,
        directory=Path(directory or "/") if not directory.startswith("~") else None,
        source="ExecStart",
        prefixes=prefixes_of(argv, facts.environment),
    )


def _surroundings(pid: int, proc: Path) -> tuple[dict[str, str], str]:
    return environment_of(pid, proc=proc), os.readlink(proc / str(pid) / "cwd")


def _process_start(process: Process, *, table: ProcessTable, notes: Notes) -> Start:
    start = Start(argv=program_words(process.argv), environment={}, directory=None, source="command line")
    look = partial(_surroundings, process.pid, table.proc)
    try:
        environment, directory = look_into(process.uid, process.gid, look)
    except OSError as error:
        notes.miss("environment and working directory of other users' app servers", error)
        return start._replace(prefixes=prefixes_of([process.exe, *process.argv], {}))
    return start._replace(
        environment=environment,
        directory=Path(directory),
        root=str(table.proc / str(process.pid) / "root") if in_container(process.pid, proc=table.proc) else "",
        prefixes=prefixes_of([*process.argv[:3], process.exe], environment),
    )


def _for_requests(key: EndpointKey) -> bool:
    """Not abstract sockets, which nginx cannot name, and not the control socket that gunicorn opens since 25.1."""
    return not key.startswith("unix:@") and not key.endswith("/gunicorn.ctl")


def _plain(value: Any) -> Any:
    """A setting as JSON holds it: no secrets, nothing that JSON does not know."""
    if isinstance(value, dict):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    return value if isinstance(value, (bool, int, float, type(None))) else redact(str(value))


def _version(server: _Server) -> str:
    if server.start is None or server.program == "other":
        return ""
    title, exe = (server.root.argv[0], server.root.exe) if server.root else ("", "")
    return version_of(server.program, server.start, title=title, exe=exe)


def _read(server: _Server, *, version: str, notes: Notes) -> Reading:
    if server.start is None or server.program == "other":
        return unreadable()
    return reader_of(server.program, version=version)(server.start, notes=notes)


def _app_server(server: _Server, *, table: ProcessTable, cgroups: Cgroups, notes: Notes) -> AppServer:
    version = _version(server)
    reading = _read(server, version=version, notes=notes)
    # gunicorn ignores its own `bind` when systemd hands it sockets.
    is_handed = server.program == "gunicorn" and bool(server.handed_keys)
    settings, sources = reading.shown()
    if server.program not in KINDS and server.program != "other":
        settings["server"] = server.program
    if server.started_by:
        settings["started_by"] = server.started_by
    return {
        "kind": server.program if server.program in KINDS else "other",
        "unit": server.unit,
        "pids": sorted(server.pids),
        "running_since": local_time(server.root.started) if server.root else "",
        "binds": list(dict.fromkeys(server.handed_keys if is_handed else reading.binds)),
        "binds_known": is_handed or reading.binds_known,
        "binds_from": server.handed if is_handed else reading.binds_from,
        "listens": [key for key in dict.fromkeys(server.listens) if _for_requests(key)],
        "settings": _plain(settings),
        "settings_from": sources,
        "settings_known": reading.settings_known,
        "version": version,
        "capacity": measure(server.root, sorted(server.pids), table=table, cgroups=cgroups, notes=notes)
        if server.root
        else NOT_MEASURED,
    }


def _listens_for(service: UnitFacts, units: Units) -> tuple[str, tuple[EndpointKey, ...]]:
    """The .socket unit that hands a service what it listens on, and what that is. One that is switched off does not."""
    for facts in units.facts:
        unit = facts.unit
        wanted = unit["active_state"] in ("active", "failed") or unit["unit_file_state"].startswith("enabled")
        if facts.name in service.unit["triggered_by"] and facts.name.endswith(".socket") and wanted:
            listens = [
                line[: -len(_STREAM)] for line in unit["raw"].get("Listen", "").splitlines() if line.endswith(_STREAM)
            ]
            keys = [parse_bind(listen, default_host="::", default_port=0) for listen in listens]
            return facts.name, tuple(key for key in keys if key)
    return "", ()


def _is_app_unit(name: str | None) -> bool:
    return name is not None and name.endswith(".service") and not re.match(r"user@|docker-|libpod-", name)


def _family(root: Process, *, table: ProcessTable) -> list[int]:
    pids = [root.pid]
    for child in table.children(root.pid):
        pids += _family(child, table=table)
    return pids


def _roots(processes: Iterable[Process], *, listening: set[int | None]) -> list[Process]:
    """The masters: known by what they run, or by a listener of theirs, and not below another one."""
    candidates = [process for process in processes if program_of(process.argv) or process.pid in listening]
    pids = {process.pid for process in candidates}
    return [process for process in candidates if process.parent not in pids]


def _of_process(root: Process, *, unit: str | None, table: ProcessTable, notes: Notes) -> _Server:
    program = program_of(root.argv) or "other"
    # A title has taken the place of the arguments; that of PHP-FPM holds the one that matters.
    told = program == "php-fpm" or not is_title(root.argv)
    start = _process_start(root, table=table, notes=notes) if told and program != "other" else None
    return _Server(program, unit, start, root)


class _Finder:
    """What all app servers of one look have in common."""

    def __init__(self, *, table: ProcessTable, listeners: Sequence[Listener], notes: Notes) -> None:
        self._table, self._notes = table, notes
        self._listeners = [one for one in listeners if _reachable(one, proc=table.proc)]
        self._listening = {one["pid"] for one in listeners if may_be_app(one)}

    def of_unit(self, facts: UnitFacts, processes: Sequence[Process]) -> list[_Server]:
        """The app servers of a service unit: known by what it starts, or by what its processes turned into."""
        program = program_of(facts.argv)
        roots = _roots(processes, listening=self._listening)
        units = {facts.name, *facts.unit["triggered_by"]}
        own = [one for one in self._listeners if one["unit"] in units]
        if not roots:
            return self._stopped(facts, program, processes, own)
        servers = [self._running(facts, program, root) for root in roots]
        if len(servers) > 1 or servers[0].unit is None:
            return [self._with_family(server) for server in servers]
        pids = tuple(process.pid for process in processes)
        listens = [one for one in self._listeners if one["unit"] in units or one["pid"] in pids]
        return [servers[0]._replace(pids=pids, listens=tuple(listener_key(one) for one in listens))]

    def _stopped(
        self, facts: UnitFacts, program: str | None, processes: Sequence[Process], own: Sequence[Listener]
    ) -> list[_Server]:
        if program is None and not any(may_be_app(one) for one in own) and not may_serve(facts, processes):
            return []
        start = _unit_start(facts) if program else None
        listens = tuple(listener_key(one) for one in own)
        pids = tuple(process.pid for process in processes)
        if program == "uwsgi" and re.match(_DEBIAN_UWSGI, facts.argv[0]):
            return [_Server(program, facts.name, one, None) for one in _debian_uwsgi()]
        return [_Server(program or "other", facts.name, start, None, pids, listens)]

    def _running(self, facts: UnitFacts, program: str | None, root: Process) -> _Server:
        """By the unit's own words where they start it, else, behind a wrapper, by the process's."""
        if program and program == (program_of(root.argv) or program) and not re.match(_DEBIAN_UWSGI, facts.argv[0]):
            return _Server(program, facts.name, _unit_start(facts), root)
        server = _of_process(root, unit=facts.name, table=self._table, notes=self._notes)
        parent = self._table.processes.get(root.parent)
        if parent and re.match(_SUPERVISOR, parent.name):
            return server._replace(unit=None, started_by=parent.name)
        return server

    def _with_family(self, server: _Server) -> _Server:
        pids = tuple(_family(server.root, table=self._table)) if server.root else ()
        # What starts an app may have started nginx too, in a container for example.
        own = [one for one in self._listeners if one["pid"] in pids and may_be_app(one)]
        listens = tuple(listener_key(one) for one in own)
        return server._replace(pids=pids, listens=listens)

    def without_unit(self) -> list[_Server]:
        """App servers that no service unit owns: started by hand, by cron, in a container."""
        found = []
        for root in _roots(
            (process for process in self._table if not _is_app_unit(process.unit)), listening=self._listening
        ):
            parent = self._table.processes.get(root.parent)
            server = _of_process(root, unit=None, table=self._table, notes=self._notes)
            found.append(self._with_family(server)._replace(started_by=parent.name if parent else None))
        return found


def _debian_uwsgi(directory: Path = Path("/etc/uwsgi/apps-enabled")) -> list[Start]:
    """Debian's own uWSGI service starts one master for each file."""
    try:
        files = sorted(directory.glob("*.ini"))
    except OSError:
        return []
    default = "/usr/share/uwsgi/conf/default.ini"
    return [
        Start(
            argv=("/usr/bin/uwsgi", "--ini", default, "--ini", str(file)),
            environment={"UWSGI_DEB_CONFNAME": file.stem, "UWSGI_DEB_CONFNAMESPACE": "app"},
            directory=Path("/"),
            source="ExecStart",
            prefixes=(Path("/usr"),),
        )
        for file in files
    ]


def find_app_servers(
    *, table: ProcessTable, units: Units, listeners: Sequence[Listener], notes: Notes
) -> list[AppServer]:
    """Every app server of this host, running or only configured."""
    by_unit: dict[str, list[Process]] = {}
    for process in table:
        if process.unit:
            by_unit.setdefault(process.unit, []).append(process)
    finder = _Finder(table=table, listeners=listeners, notes=notes)
    servers = [
        server._replace(handed=handed, handed_keys=keys)
        for facts in units.facts
        if _is_app_unit(facts.name)
        for handed, keys in (_listens_for(facts, units),)
        for server in finder.of_unit(facts, by_unit.get(facts.name, []))
    ]
    cgroups = Cgroups.read(proc=table.proc)
    return [
        _app_server(server, table=table, cgroups=cgroups, notes=notes) for server in servers + finder.without_unit()
    ]
