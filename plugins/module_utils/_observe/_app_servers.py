# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""App servers: the processes that answer behind nginx, or the units that should start them, and where they bind.

Settings files are read as data, never executed.
"""

from __future__ import annotations

import ast
import os
import re
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import (
    AppCapacity,
    AppServer,
    EndpointKey,
    Listener,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._as_user import as_user
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._processes import (
    Process,
    ProcessTable,
    environment_of,
    in_container,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._redact import redact
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._shared import Notes
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._units import UnitFacts, Units

#: Program names; the interpreter before a script is skipped.
_KINDS = (
    ("gunicorn", re.compile(r"gunicorn(?:\d|[.-]|$)")),
    ("uwsgi", re.compile(r"uwsgi(?:[_-]|$)")),
    ("uvicorn", re.compile(r"uvicorn$")),
    ("php-fpm", re.compile(r"php-fpm[\d.]*$")),
    ("node", re.compile(r"(?:node|nodejs|npm|npx|yarn|pnpm)$")),
)
_TITLES = (
    ("gunicorn", re.compile(r"^gunicorn: (?:master|worker)")),
    ("php-fpm", re.compile(r"^php-fpm: (?:master|pool)")),
)
_INTERPRETER = re.compile(r"(?:python|pypy|ruby|perl|sh|bash|dash)[\d.]*$|^env$")
_SHELL_WORDS = frozenset({"exec", "&&", ";"})

#: Daemons that listen and are no app servers; the kernel cuts names at 15 characters.
_INFRASTRUCTURE = re.compile(
    r"(?:nginx|openresty|angie|tengine|haproxy|envoy|varnishd|sshd.*|systemd.*|\(systemd\)|init|dbus-.*|rpcbind|rpc\..*|"
    r"mysqld|mariadbd|postgres|postmaster|redis-server|valkey-server|memcached|mongod|clickhouse.*|etcd|beam\.smp|epmd|"
    r"dockerd|containerd.*|docker-proxy|conmon|podman|kubelet|kube-.*|crio|chronyd|ntpd|ntpsec|master|exim4?|dovecot|smtpd|"
    r"named|dnsmasq|unbound|pdns.*|cupsd|cups-browsed|avahi-daemon|snmpd|zabbix_.*|node_exporter|prometheus.*|telegraf|"
    r"collectd|rsyslogd|syslog-ng|auditd|polkitd|NetworkManager|acpid|lvm.*|multipathd|iscsid|slapd|sssd.*|nscd|"
    r"cron|crond|atd|udevd|snapd|fail2ban.*|gssproxy|winbindd|smbd|nmbd|proftpd|vsftpd|xinetd|tailscaled|salt-.*|puppet.*)$"
)


@dataclass(frozen=True)
class Start:
    """How an app server is started, whether it runs or not."""

    argv: tuple[str, ...]
    environment: Mapping[str, str]
    directory: Path | None  # None: not known, and the environment neither
    source: str  # "ExecStart" or "command line"


@dataclass
class Binds:
    addresses: list[EndpointKey] = field(default_factory=list)
    known: bool = True
    source: str = "default"
    settings: dict[str, Any] = field(default_factory=dict)


def _program_words(argv: Sequence[str]) -> tuple[str, ...]:
    """argv from the program on: without interpreters, their options, `-m` and variable assignments."""
    words = list(argv)
    while words:
        name = Path(words[0].lstrip("@-:+!")).name
        if _INTERPRETER.match(name) or words[0].startswith("-") or "=" in words[0] or words[0] in _SHELL_WORDS:
            words.pop(0)
            continue
        break
    return tuple(words)


def kind_of(argv: Sequence[str]) -> str | None:
    """None for what is no known app server."""
    if not argv:
        return None
    for kind, title in _TITLES:
        if title.match(argv[0]):
            return kind
    words = _program_words(_unwrapped(argv))
    name = Path(words[0]).name if words else ""
    return next((kind for kind, pattern in _KINDS if pattern.match(name)), None)


def _unwrapped(argv: Sequence[str]) -> Sequence[str]:
    """The words of `sh -c 'command'`; systemd's joined argv has lost the quotes."""
    if len(argv) > 2 and Path(argv[0]).name in ("sh", "bash", "dash") and argv[1] == "-c":
        return _words(" ".join(argv[2:]).strip("'\""))
    return argv


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()


def _expanded(argv: Iterable[str], environment: Mapping[str, str]) -> tuple[str, ...]:
    """$NAME and ${NAME} as systemd and shells replace them; unknown ones stay, so that they can be told."""

    def value(match: re.Match[str]) -> str:
        return environment.get(match["braced"] or match["plain"], match[0])

    return tuple(re.sub(r"\$(?:\{(?P<braced>\w+)\}|(?P<plain>\w+))", value, word) for word in argv)


def endpoint_key(host: str, port: str | int) -> EndpointKey:
    bare = host.strip("[]")
    return f"tcp:[{bare}]:{port}" if ":" in bare else f"tcp:{bare}:{port}"


def parse_bind(text: str, *, default_host: str, default_port: int) -> EndpointKey | None:
    """`HOST:PORT`, `[::]:PORT`, `:PORT`, `unix:PATH`, `/path`; None for fd://N and what holds a variable."""
    if "$" in text or text.startswith("fd://"):
        return None
    text = text[len("tcp://") :] if text.startswith("tcp://") else text
    if text.startswith("unix:"):
        path = text[len("unix:") :]
        return f"unix:{path[2:] if path.startswith('//') else path}"
    if text.startswith(("/", "@")):
        return f"unix:{text}"
    match = re.fullmatch(r"(?P<host>\[[^\]]+\]|[^:]*)(?::(?P<port>\d+))?", text)
    if not match:
        return None
    return endpoint_key(match["host"] or default_host, match["port"] or default_port)


def _options(words: Sequence[str], names: Mapping[str, str]) -> list[tuple[str, str]]:
    """(name, value) of the options in `names` ("-b": "bind"): `-b X`, `-bX`, `--bind X`, `--bind=X`, in order."""
    found = []
    waiting: str | None = None
    for word in words:
        option, equals, value = word.partition("=")
        if waiting:
            found.append((waiting, word))
            waiting = None
        elif word in names:
            waiting = names[word]
        elif equals and option in names and option.startswith("--"):
            found.append((names[option], value))
        elif len(word) > 2 and not word.startswith("--") and word[:2] in names:
            found.append((names[word[:2]], word[2:].lstrip("=")))
    return found


# --- gunicorn -------------------------------------------------------------------------------------------------------

_GUNICORN_OPTIONS = {
    "-b": "bind",
    "--bind": "bind",
    "-c": "config",
    "--config": "config",
    "-w": "workers",
    "--workers": "workers",
    "-k": "worker_class",
    "--worker-class": "worker_class",
    "--threads": "threads",
    "-t": "timeout",
    "--timeout": "timeout",
    "--keep-alive": "keepalive",
    "--backlog": "backlog",
    "--graceful-timeout": "graceful_timeout",
    "--max-requests": "max_requests",
    "--chdir": "chdir",
    "--certfile": "certfile",
}
_GUNICORN_SETTINGS = frozenset(_GUNICORN_OPTIONS.values()) - {"config"}
_GUNICORN_FILE = "gunicorn.conf.py"


def read_python_settings(text: str, names: Iterable[str]) -> tuple[dict[str, Any], set[str]]:
    """(literal values, names whose value only running the file would tell) of a Python settings file."""
    wanted = set(names)
    values: dict[str, Any] = {}
    unknown: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, (ast.Assign, ast.AnnAssign)) or node.value is None:
            continue
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        for name in {target.id for target in targets if isinstance(target, ast.Name)} & wanted:
            try:
                values[name] = ast.literal_eval(node.value)
                unknown.discard(name)
            except ValueError:
                unknown.add(name)
    return values, unknown


def _gunicorn_file(options: Sequence[tuple[str, str]], directory: Path | None) -> tuple[Path | None, bool]:
    """(settings file, whether not having it matters). An unnamed ./gunicorn.conf.py is read silently by gunicorn."""
    named = [value for name, value in options if name == "config"]
    text = named[-1] if named else f"./{_GUNICORN_FILE}"
    if text.startswith("python:"):
        return None, True
    path = Path(text[len("file:") :] if text.startswith("file:") else text)
    if directory is None and not path.is_absolute():
        return None, True
    return (directory or Path("/")) / path, bool(named)


def _gunicorn_from_file(binds: Binds, path: Path | None, *, named: bool, notes: Notes) -> list[str] | None:
    """The settings file's binds; None when it sets none, or none that could be read."""
    if path is None:
        binds.known = not named
        return None
    try:
        values, unknown = read_python_settings(path.read_text("utf-8"), _GUNICORN_SETTINGS)
    except FileNotFoundError:
        binds.known = not named
        return None
    except (OSError, SyntaxError, ValueError) as error:
        notes.miss(f"gunicorn settings {path}", error)
        binds.known = False
        return None
    binds.settings.update((name, value) for name, value in values.items() if name != "bind")
    if "bind" in unknown:
        binds.known, binds.source = False, str(path)
        return None
    bind = values.get("bind")
    if bind is None:
        return None
    binds.source = str(path)
    return bind.split(",") if isinstance(bind, str) else [str(entry) for entry in bind]


def gunicorn_binds(start: Start, *, notes: Notes) -> Binds:
    """Low to high: PORT, settings file, GUNICORN_CMD_ARGS, command line; a -c on the command line wins too."""
    from_environment = _options(_words(start.environment.get("GUNICORN_CMD_ARGS", "")), _GUNICORN_OPTIONS)
    from_command = _options(start.argv, _GUNICORN_OPTIONS)
    binds = Binds()
    directory = start.directory
    for _name, value in [option for option in from_environment + from_command if option[0] == "chdir"]:
        directory = (directory or Path("/")) / value
    path, named = _gunicorn_file(from_environment + from_command, start.directory)
    addresses = _gunicorn_from_file(binds, path, named=named, notes=notes)
    for options, source in ((from_environment, "GUNICORN_CMD_ARGS"), (from_command, start.source)):
        binds.settings.update((name, value) for name, value in options if name not in ("bind", "config"))
        given = [value for name, value in options if name == "bind"]
        if given:
            addresses, binds.source, binds.known = given, source, True
    if addresses is None and binds.known:
        port = start.environment.get("PORT")
        addresses, binds.source = ([f"0.0.0.0:{port}"], "PORT") if port else (["127.0.0.1:8000"], "default")
    _take(binds, addresses or [], default_host="0.0.0.0", default_port=8000)  # noqa: S104  # gunicorn's own reading
    return binds


def _take(binds: Binds, addresses: Iterable[str], *, default_host: str, default_port: int) -> None:
    for address in addresses:
        key = parse_bind(address.strip(), default_host=default_host, default_port=default_port)
        if key is None:
            binds.known = False
        else:
            binds.addresses.append(key)


# --- uWSGI ----------------------------------------------------------------------------------------------------------

_UWSGI_SOCKETS = ("socket", "uwsgi-socket", "http-socket", "http11-socket", "http", "https-socket", "https")
_UWSGI_SETTINGS = (
    "processes",
    "workers",
    "threads",
    "listen",
    "harakiri",
    "buffer-size",
    "chmod-socket",
    "vacuum",
    "master",
)
_UWSGI_OPTIONS = {
    "-s": "socket",
    "-p": "processes",
    "-l": "listen",
    "-t": "harakiri",
    **{f"--{name}": name for name in (*_UWSGI_SOCKETS, *_UWSGI_SETTINGS)},
    "--ini": "ini",
    "--ini-paste": "ini",
    "--chdir": "chdir",
}
_UWSGI_FLAGS = ("--vacuum", "--master")
_UWSGI_PROTOCOLS = {
    "http-socket": "http",
    "http11-socket": "http",
    "http": "http",
    "https-socket": "https",
    "https": "https",
}


def _uwsgi_ini(path: Path, *, notes: Notes) -> list[tuple[str, str]] | None:
    """The [uwsgi] section; keys may come several times. uWSGI's %-magic and $(ENV) stay as written."""
    options: list[tuple[str, str]] = []
    section = ""
    try:
        text = path.read_text("utf-8", "replace")
    except OSError as error:
        notes.miss(f"uWSGI settings {path}", error)
        return None
    for raw in text.splitlines():
        line = raw.split(";", 1)[0].strip()
        if line.startswith("[") and line.endswith("]"):
            section = line[1:-1]
        elif section == "uwsgi" and "=" in line and not line.startswith("#"):
            name, _equals, value = line.partition("=")
            options.append((name.strip(), value.strip()))
    return options


def uwsgi_binds(start: Start, *, notes: Notes) -> Binds:
    words = [word for word in start.argv[1:] if word not in _UWSGI_FLAGS]
    options = _options(words, _UWSGI_OPTIONS)
    # A bare `app.ini` serves too; the value of --ini comes up in both lists.
    files = [value for name, value in options if name == "ini"] + [
        word for word in words if word.endswith(".ini") and not word.startswith("-")
    ]
    binds = Binds(source=start.source)
    for name in dict.fromkeys(files):
        path = (start.directory or Path("/")) / name
        read = None if start.directory is None and not path.is_absolute() else _uwsgi_ini(path, notes=notes)
        if read is None:
            binds.known = False
            continue
        options = read + options
        binds.source = str(path)
    binds.settings = {name: value for name, value in options if name in _UWSGI_SETTINGS}
    sockets = [(name, value) for name, value in options if name in _UWSGI_SOCKETS]
    for name, value in sockets:
        address = value.split(",", 1)[0]
        key = None if "%" in address or "$(" in address else parse_bind(address, default_host="0.0.0.0", default_port=0)  # noqa: S104
        if key is None:
            binds.known = False
            continue
        binds.addresses.append(key)
        binds.settings.setdefault("protocols", {})[key] = _UWSGI_PROTOCOLS.get(name, "uwsgi")
    binds.known = binds.known and bool(sockets)  # without any, a socket unit or an emperor's vassals have it
    return binds


# --- the others -----------------------------------------------------------------------------------------------------

_UVICORN_OPTIONS = {
    "--host": "host",
    "--port": "port",
    "--uds": "uds",
    "--fd": "fd",
    "--workers": "workers",
    "--timeout-keep-alive": "timeout_keep_alive",
    "--limit-concurrency": "limit_concurrency",
    "--backlog": "backlog",
    "--ssl-certfile": "certfile",
}


def uvicorn_binds(start: Start, *, notes: Notes) -> Binds:  # noqa: ARG001  # one signature for all kinds
    """Command line over UVICORN_* variables; --uds and --fd over host and port."""
    names = set(_UVICORN_OPTIONS.values())
    options = {
        name: start.environment[f"UVICORN_{name.upper()}"]
        for name in names
        if f"UVICORN_{name.upper()}" in start.environment
    }
    source = "UVICORN_*" if options else "default"
    given = dict(_options(start.argv, _UVICORN_OPTIONS))
    if given.keys() & {"host", "port", "uds", "fd"}:
        source = start.source
    options.update(given)
    binds = Binds(
        source=source, settings={name: options[name] for name in options if name not in ("host", "port", "uds", "fd")}
    )
    if "fd" in options:
        binds.known = False
    elif "uds" in options:
        _take(binds, [f"unix:{options['uds']}"], default_host="", default_port=0)
    else:
        host, port = options.get("host", "127.0.0.1"), options.get("port", "8000")
        _take(
            binds,
            [f"[{host}]:{port}" if ":" in host else f"{host}:{port}"],
            default_host="127.0.0.1",
            default_port=8000,
        )
    return binds


def node_binds(start: Start, *, notes: Notes) -> Binds:  # noqa: ARG001
    """PORT is a custom, not a rule: only the program's own code says where it listens."""
    port = start.environment.get("PORT", "")
    if not port.isdigit():
        return Binds(known=False, source="")
    return Binds(addresses=[endpoint_key(start.environment.get("HOST", "0.0.0.0"), port)], known=False, source="PORT")  # noqa: S104


def _unknown_binds(start: Start, *, notes: Notes) -> Binds:  # noqa: ARG001
    return Binds(known=False, source="")


_READERS: dict[str, Callable[..., Binds]] = {
    "gunicorn": gunicorn_binds,
    "uwsgi": uwsgi_binds,
    "uvicorn": uvicorn_binds,
    "node": node_binds,
}


# --- putting them together ------------------------------------------------------------------------------------------


def listener_key(listener: Listener) -> EndpointKey:
    if listener["transport"] == "unix":
        return f"unix:{listener['address']}"
    return endpoint_key(listener["address"], listener["port"] or 0)


def _unit_start(facts: UnitFacts) -> Start:
    directory = facts.unit["working_directory"].lstrip("!-")
    return Start(
        argv=_program_words(_unwrapped(_expanded(facts.argv, facts.environment))),
        environment=facts.environment,
        directory=Path(directory or "/") if not directory.startswith("~") else None,
        source="ExecStart",
    )


def _surroundings(pid: int, proc: Path) -> tuple[dict[str, str], str]:
    return environment_of(pid, proc=proc), os.readlink(proc / str(pid) / "cwd")


def _process_start(process: Process, *, table: ProcessTable, notes: Notes) -> Start:
    argv = _program_words(process.argv)
    look = partial(_surroundings, process.pid, table.proc)
    try:
        try:
            environment, directory = look()
        except PermissionError:
            environment, directory = as_user(process.uid, process.gid, look)
    except OSError as error:
        notes.miss("environment and working directory of other users' app servers", error)
        return Start(argv=argv, environment={}, directory=None, source="command line")
    return Start(argv=argv, environment=environment, directory=Path(directory), source="command line")


def _for_requests(key: EndpointKey) -> bool:
    """Not abstract sockets, which nginx cannot name, and not the control socket that gunicorn opens since 25.1."""
    return not key.startswith("unix:@") and not key.endswith("/gunicorn.ctl")


def _plain(value: Any) -> Any:
    """A setting as JSON holds it: numbers as numbers, no secrets, nothing that JSON does not know."""
    if isinstance(value, str):
        return int(value) if value.isdigit() else redact(value)
    return value if isinstance(value, (bool, int, float, dict, type(None))) else redact(str(value))


_NOT_MEASURED = AppCapacity(
    workers_running=None,
    cpus=None,
    memory_limit=None,
    memory_current=None,
    memory_per_worker=None,
    oom_kills=None,
    open_files_limit=None,
    open_files=None,
)


def _app_server(
    kind: str, *, unit: str | None, pids: Sequence[int], binds: Binds, listens: Iterable[EndpointKey]
) -> AppServer:
    return AppServer(
        kind=kind,
        unit=unit,
        pids=sorted(pids),
        binds=list(dict.fromkeys(binds.addresses)),
        binds_known=binds.known,
        binds_from=binds.source,
        listens=[key for key in dict.fromkeys(listens) if _for_requests(key)],
        settings={name: _plain(value) for name, value in binds.settings.items()},
        settings_from={},
        settings_known=binds.known,
        version="",
        capacity=_NOT_MEASURED,
    )


def _binds(kind: str, start: Start | None, *, notes: Notes) -> Binds:
    if start is None:
        return Binds(known=False, source="")
    return _READERS.get(kind, _unknown_binds)(start, notes=notes)


def _is_app_unit(name: str | None) -> bool:
    return name is not None and name.endswith(".service") and not re.match(r"user@|docker-|libpod-", name)


def _of_unit(
    facts: UnitFacts, *, processes: Sequence[Process], listeners: Sequence[Listener], notes: Notes
) -> AppServer | None:
    """The app server of a service unit: known by what it starts, or by what its processes turned into."""
    kinds = [kind_of(facts.argv), *(kind_of(process.argv) for process in processes)]
    kind = next((kind for kind in kinds if kind), None)
    pids = {process.pid for process in processes}
    units = {facts.name, *facts.unit["triggered_by"]}
    listens = [listener_key(one) for one in listeners if one["unit"] in units or one["pid"] in pids]
    if kind is None:
        if not any(_may_be_app(one) for one in listeners if one["unit"] in units):
            return None
        kind = "other"
    start = _unit_start(facts)
    if kind_of(facts.argv) != kind:  # a wrapper script: only the process knows the arguments
        return _app_server(
            kind, unit=facts.name, pids=sorted(pids), binds=Binds(known=False, source=""), listens=listens
        )
    return _app_server(
        kind, unit=facts.name, pids=sorted(pids), binds=_binds(kind, start, notes=notes), listens=listens
    )


def _may_be_app(listener: Listener) -> bool:
    """A listener of a process that is no known daemon. Abstract sockets are not reachable for nginx."""
    name = listener["process"]
    if name is None or _INFRASTRUCTURE.match(name):
        return False
    return listener["transport"] == "tcp" or listener["address"].startswith("/")


def _family(root: Process, *, table: ProcessTable) -> list[int]:
    pids = [root.pid]
    for child in table.children(root.pid):
        pids += _family(child, table=table)
    return pids


def _roots(candidates: Sequence[Process]) -> list[Process]:
    pids = {process.pid for process in candidates}
    return [process for process in candidates if process.parent not in pids]


def _without_unit(*, table: ProcessTable, listeners: Sequence[Listener], notes: Notes) -> list[AppServer]:
    """App servers that no service unit owns: started by hand, by cron, by another supervisor."""
    listening = {one["pid"] for one in listeners if _may_be_app(one)}
    loose = [process for process in table if not _is_app_unit(process.unit)]
    candidates = [process for process in loose if kind_of(process.argv) or process.pid in listening]
    found = []
    for root in _roots(candidates):
        pids = _family(root, table=table)
        listens = [listener_key(one) for one in listeners if one["pid"] in pids]
        if not listens and in_container(root.pid, proc=table.proc):
            notes.miss("app servers in containers", "they have a network of their own")
            continue
        kind = kind_of(root.argv) or "other"
        titled = any(title.match(root.argv[0]) for _kind, title in _TITLES)  # the arguments are gone
        start = None if titled else _process_start(root, table=table, notes=notes)
        found.append(_app_server(kind, unit=None, pids=pids, binds=_binds(kind, start, notes=notes), listens=listens))
    return found


def find_app_servers(
    *, table: ProcessTable, units: Units, listeners: Sequence[Listener], notes: Notes
) -> list[AppServer]:
    """Every app server of this host, running or only configured."""
    by_unit: dict[str, list[Process]] = {}
    for process in table:
        if process.unit:
            by_unit.setdefault(process.unit, []).append(process)
    found = []
    for facts in units.facts:
        if _is_app_unit(facts.name):
            app = _of_unit(facts, processes=by_unit.get(facts.name, []), listeners=listeners, notes=notes)
            if app:
                found.append(app)
    return found + _without_unit(table=table, listeners=listeners, notes=notes)
