# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which nginx there are on a host: from running master processes, from units, from a binary on PATH."""

from __future__ import annotations

import os
import pwd
import re
import shutil
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._as_user import as_user
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._processes import (
    Process,
    ProcessTable,
    in_container,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._shared import SEARCH_PATH, Notes, run
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._units import UnitFacts, Units

if TYPE_CHECKING:
    from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import (
        ConfigMessage,
        ConfigTest,
        Settings,
    )

_NAMES = ("nginx", "openresty", "angie", "tengine")
_MASTER_TITLE = r"(?s)^nginx: master process (?P<command>.*)$"
# The title holds the arguments joined with blanks; `-g` may hold blanks itself and ends where another option begins.
_OPTION = r"(?s)(?:^|\s)-(?P<letter>[cpge])\s*(?P<value>.*?)(?=\s-[cpgetTqsvVh?]+(?:\s|$)|\s*$)"
_VERSION = r"(?m)^(?P<name>\w+) version: (?P<product>[\w.-]+)/(?P<version>\d[\w.-]*)(?: \((?P<extra>[^)]*)\))?"
_CONFIGURE_OPTION = (
    r"--(?P<name>prefix|conf-path|error-log-path|http-log-path|user|http-[a-z-]+-temp-path)=(?P<value>'[^']*'|\S+)"
)
# `nginx: [emerg] ...` while the configuration is read; afterwards lines as in the error log it opened.
_TEST_LINE = r"(?m)^(?:nginx:|\d{4}/\d\d/\d\d [\d:]{8}) \[(?P<level>\w+)\] (?:\d+#\d+: )?(?P<message>.*)$"
_POSITION = r"^(?P<message>.*) in (?P<file>/.+):(?P<line>\d+)$"
_VERSION_SECONDS = 5
_TEST_SECONDS = 30  # a thousand certificates take 3 s on a quiet machine, and ten times that on a busy one
_CLOCK_TOLERANCE = 0.05  # start times come in ticks of 10 ms, file times do not


class Command(NamedTuple):
    """How an nginx is started. Paths are as written."""

    binary: str
    config: str | None = None
    prefix: str | None = None
    directives: str | None = None  # -g
    error_log: str | None = None  # -e
    directory: str = "/"  # where relative paths of the command line count from


class Build(NamedTuple):
    """What `nginx -V` says. Empty strings when it could not be asked."""

    version: str = ""
    flavour: str = "nginx"
    prefix: str = "/usr/local/nginx"
    config: str = "conf/nginx.conf"
    error_log: str = "logs/error.log"
    access_log: str = "logs/access.log"
    user: str = "nobody"
    temporary: tuple[tuple[str, str], ...] = ()  # ("client_body_temp_path", "/var/lib/nginx/body") ...


class Credentials(NamedTuple):
    """Of a worker. `groups` of a running one are those it has now, not those of the user database."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]


class Instance(NamedTuple):
    """One nginx that was found, before its configuration is read."""

    command: Command
    build: Build
    config: str
    prefix: str
    pid: int | None
    unit: str | None
    credentials: Credentials | None  # of a running worker
    workers_since: float | None  # start of the oldest worker that serves
    open_files_limit: int | None = None  # of a worker, soft
    open_files: int | None = None  # the most that a worker holds


def parse_command(words: str, *, binary: str, directory: str = "/") -> Command:
    """`-c`, `-p`, `-g` and `-e` of a command line whose arguments were joined with blanks."""
    options = {match["letter"]: match["value"].strip() for match in re.finditer(_OPTION, words)}
    return Command(
        binary=binary,
        config=options.get("c"),
        prefix=options.get("p"),
        directives=options.get("g"),
        error_log=options.get("e"),
        directory=directory,
    )


def parse_build(text: str) -> Build:
    """The output of `nginx -V`."""
    version = re.search(_VERSION, text)
    if not version:
        return Build()
    product = version["product"].lower()
    plus = "nginx-plus" in (version["extra"] or "")
    options = {match["name"]: match["value"].strip("'") for match in re.finditer(_CONFIGURE_OPTION, text)}
    default = Build()
    return Build(
        version=version["version"],
        flavour="plus" if plus else product if product in ("openresty", "angie", "tengine") else "nginx",
        prefix=options.get("prefix", default.prefix),
        config=options.get("conf-path", default.config),
        error_log=options.get("error-log-path", default.error_log),
        access_log=options.get("http-log-path", default.access_log),
        user=options.get("user", default.user),
        temporary=tuple(
            (name[len("http-") :].replace("-", "_"), path)
            for name, path in options.items()
            if name.endswith("-temp-path")
        ),
    )


def _config_message(level: str, text: str) -> ConfigMessage:
    place = re.match(_POSITION, text)
    if place is None:
        return {"level": level, "message": text, "file": None, "line": None}
    return {"level": level, "message": place["message"], "file": place["file"], "line": int(place["line"])}


def parse_test(text: str) -> list[ConfigMessage]:
    """The messages of `nginx -t`, as they stand on standard error."""
    return [_config_message(match["level"], match["message"]) for match in re.finditer(_TEST_LINE, text)]


def _absolute(path: str, *, base: str) -> str:
    return str(Path(base) / path)


def _place(command: Command, build: Build) -> tuple[str, str]:
    """(prefix, main file), as ngx_process_options() finds them: -c counts from the prefix."""
    prefix = _absolute(command.prefix or build.prefix, base=command.directory)
    return prefix, _absolute(command.config or build.config, base=prefix)


class _Builds:
    """Asks each binary once."""

    def __init__(self, notes: Notes) -> None:
        self._notes = notes
        self._known: dict[str, Build] = {}

    def of(self, binary: str) -> Build:
        if binary not in self._known:
            answer = run([binary, "-V"], seconds=_VERSION_SECONDS)
            build = parse_build(answer.stderr)
            if not build.version:
                self._notes.miss(f"version of {binary}", answer.why or "its -V prints no version")
            self._known[binary] = build
        return self._known[binary]


def _binary_of(process: Process, *, proc: Path, command: str) -> str:
    """The binary that runs. A replaced one is still there through /proc; without permission its own name must do."""
    if process.exe.endswith(" (deleted)"):
        return str(proc / str(process.pid) / "exe")
    words = command.split()
    return process.exe or shutil.which(words[0] if words else "nginx", path=SEARCH_PATH) or "nginx"


def _working_directory(pid: int, *, proc: Path) -> str:
    try:
        return os.readlink(proc / str(pid) / "cwd")
    except OSError:
        return "/"


def _other_root(pid: int, *, proc: Path) -> bool:
    """Whether a process sees another root file system: a container's nginx."""
    try:
        return not (proc / str(pid) / "root").samefile("/")
    except OSError:
        return in_container(pid, proc=proc)


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def parse_credentials(text: str) -> Credentials:
    """From /proc/PID/status: effective ids and supplementary groups."""
    fields = dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)
    uid, gid = int(fields["Uid"].split()[1]), int(fields["Gid"].split()[1])
    groups = tuple(int(group) for group in fields["Groups"].split())
    return Credentials(name=_user_name(uid), uid=uid, gid=gid, groups=groups)


def user_credentials(name: str) -> Credentials | None:
    """What a worker of that user would get from initgroups(); None when there is no such user."""
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    return Credentials(name=name, uid=entry.pw_uid, gid=entry.pw_gid, groups=tuple(os.getgrouplist(name, entry.pw_gid)))


def _workers(master: Process, *, table: ProcessTable) -> list[Process]:
    """Those that serve: not the cache processes, and not the ones that only finish old requests after a reload."""
    return [process for process in table.children(master.pid) if process.argv[0].rstrip() == "nginx: worker process"]


def _worker_credentials(workers: Sequence[Process], *, proc: Path, notes: Notes) -> Credentials | None:
    for worker in workers:
        try:
            return parse_credentials((proc / str(worker.pid) / "status").read_text("utf-8", "replace"))
        except OSError as error:
            notes.miss("user and groups of nginx's workers", error)
    return None


def parse_open_files_limit(text: str) -> int | None:
    """The soft limit of /proc/PID/limits; None also when there is none."""
    for line in text.splitlines():
        if line.startswith("Max open files"):
            soft = line.split()[3]
            return int(soft) if soft.isdigit() else None
    return None


def _open_files_limit(workers: Sequence[Process], *, proc: Path, notes: Notes) -> int | None:
    for worker in workers:
        try:
            return parse_open_files_limit((proc / str(worker.pid) / "limits").read_text("ascii"))
        except OSError as error:
            notes.miss("limits of nginx's workers", error)
    return None


def _count_files(pid: int, *, proc: Path) -> int:
    return len(os.listdir(proc / str(pid) / "fd"))  # noqa: PTH208  # no Path for each of thousands


def _open_files(workers: Sequence[Process], *, proc: Path, notes: Notes) -> int | None:
    """root of a container may have to look with the workers' own eyes."""
    most: int | None = None
    for worker in workers:
        count = partial(_count_files, worker.pid, proc=proc)
        try:
            try:
                number = count()
            except PermissionError:
                if os.geteuid() != 0:
                    raise
                number = int(as_user(worker.uid, worker.gid, count))
        except OSError as error:
            notes.miss("open files of nginx's workers", error)
            return most
        most = max(most or 0, number)
    return most


def temporary_paths(instance: Instance, settings: Settings) -> list[str]:
    """Where nginx keeps what it buffers; only the main levels of its configuration are asked."""
    compiled = dict(instance.build.temporary)
    written = {name: paths[0][0] for name, paths in settings.items() if name in compiled and paths and paths[0]}
    return [_absolute(path, base=instance.prefix) for path in {**compiled, **written}.values()]


def _running(table: ProcessTable, *, builds: _Builds, notes: Notes) -> list[Instance]:
    found = []
    for process in table:
        title = re.match(_MASTER_TITLE, " ".join(process.argv).rstrip())
        if not title:
            continue
        if _other_root(process.pid, proc=table.proc):
            notes.miss(f"nginx master process {process.pid}", "it runs in a container with its own file system")
            continue
        binary = _binary_of(process, proc=table.proc, command=title["command"])
        command = parse_command(
            title["command"], binary=binary, directory=_working_directory(process.pid, proc=table.proc)
        )
        build = builds.of(binary)
        prefix, config = _place(command, build)
        workers = _workers(process, table=table)
        found.append(
            Instance(
                command=command,
                build=build,
                config=config,
                prefix=prefix,
                pid=process.pid,
                unit=process.unit if process.unit and process.unit.endswith(".service") else None,
                credentials=_worker_credentials(workers, proc=table.proc, notes=notes),
                workers_since=min((worker.started for worker in workers), default=None),
                open_files_limit=_open_files_limit(workers, proc=table.proc, notes=notes),
                open_files=_open_files(workers, proc=table.proc, notes=notes),
            )
        )
    return _without_predecessors(found, table=table)


def _without_predecessors(found: list[Instance], *, table: ProcessTable) -> list[Instance]:
    """During a binary upgrade the new master is a child of the old one: the same nginx, seen once, as the new one."""
    pids = {instance.pid for instance in found}
    old = {table.processes[instance.pid].parent for instance in found if instance.pid} & pids
    return [instance for instance in found if instance.pid not in old]


def _is_nginx(facts: UnitFacts) -> bool:
    return bool(facts.argv) and Path(facts.argv[0].lstrip("@-:+!")).name in _NAMES


def _not_running(command: Command, *, build: Build, unit: str | None) -> Instance:
    prefix, config = _place(command, build)
    return Instance(
        command=command,
        build=build,
        config=config,
        prefix=prefix,
        pid=None,
        unit=unit,
        credentials=None,
        workers_since=None,
    )


def _from_units(units: Units, *, builds: _Builds, taken: Iterable[Instance]) -> list[Instance]:
    """Units that should run an nginx whose main file no master runs with."""
    configs = {instance.config for instance in taken}
    found = []
    for facts in sorted(units.facts, key=lambda facts: (facts.unit["unit_file_state"] != "enabled", facts.name)):
        if not _is_nginx(facts):
            continue
        command = parse_command(" ".join(facts.argv[1:]), binary=facts.argv[0])
        instance = _not_running(command, build=builds.of(command.binary), unit=facts.name)
        if instance.config not in configs:
            configs.add(instance.config)
            found.append(instance)
    return found


def _from_path(*, builds: _Builds, config: str | None = None) -> list[Instance]:
    """The binary that a shell would find, with `config` or its compiled-in main file."""
    binary = next(filter(None, (shutil.which(name, path=SEARCH_PATH) for name in _NAMES)), None)
    if binary is None:
        return []
    instance = _not_running(Command(binary=binary, config=config), build=builds.of(binary), unit=None)
    return [instance] if config or Path(instance.config).exists() else []


def _same_file(left: str, right: str) -> bool:
    return Path(left).resolve() == Path(right).resolve()


def _limited(found: list[Instance], *, config: str, builds: _Builds, notes: Notes) -> list[Instance]:
    """The one with that main file; else one that would use it, with the binary of another instance or from PATH."""
    chosen = [instance for instance in found if _same_file(instance.config, config)]
    if chosen:
        return chosen[:1]
    if not Path(config).exists():
        notes.miss(f"nginx with {config}", "no such file")
        return []  # the option names it for all hosts alike, or is misspelt: no nginx here is broken by that
    for other in found:
        return [_not_running(Command(binary=other.command.binary, config=config), build=other.build, unit=None)]
    made = _from_path(builds=builds, config=config)
    if not made:
        notes.miss(f"nginx binary for {config}", "no running master process, no unit, no binary on PATH")
        return [_not_running(Command(binary="", config=config), build=Build(), unit=None)]
    return made


def find_instances(*, table: ProcessTable, units: Units, config: str | None, notes: Notes) -> list[Instance]:
    """Every nginx of this host, or with `config` the one whose main file that is."""
    builds = _Builds(notes)
    found = _running(table, builds=builds, notes=notes)
    found += _from_units(units, builds=builds, taken=found)
    if config is not None:
        return _limited(found, config=config, builds=builds, notes=notes)
    found = found or _from_path(builds=builds)
    if not found:
        notes.miss("nginx", "no running master process, no unit that starts one, no binary with a main file on PATH")
    return found


def _permission_only(messages: Sequence[ConfigMessage]) -> bool:
    """Whether all that nginx stumbled over is what this user may not open."""
    fatal = [message for message in messages if message["level"] == "emerg"]
    return bool(fatal) and all("(13: " in message["message"] for message in fatal)


def check_config(instance: Instance) -> ConfigTest:
    """`nginx -t` as the instance itself would start."""
    if not instance.command.binary:
        return {"ran": False, "ok": False, "why": "no nginx binary was found", "messages": []}
    argv = [instance.command.binary, "-t", "-c", instance.config, "-p", instance.prefix]
    if instance.command.directives:
        argv += ["-g", instance.command.directives]
    ran = run(argv, seconds=_TEST_SECONDS)
    messages = parse_test(ran.stderr)
    if ran.status is None:
        return {"ran": False, "ok": False, "why": ran.why, "messages": []}
    if ran.status != 0 and os.geteuid() != 0 and _permission_only(messages):
        why = "nginx -t needs permissions that this user has not: " + messages[-1]["message"]
        return {"ran": False, "ok": False, "why": why, "messages": messages}
    return {"ran": True, "ok": ran.status == 0, "why": "", "messages": messages}


def runs_as_configured(instance: Instance, files: Iterable[str]) -> bool | None:
    """Whether the workers are younger than every file of the configuration; None when that is not known."""
    if instance.workers_since is None:
        return None
    try:
        newest = max((Path(file).stat().st_mtime for file in files), default=None)
    except OSError:
        return None
    return None if newest is None else newest <= instance.workers_since + _CLOCK_TOLERANCE
