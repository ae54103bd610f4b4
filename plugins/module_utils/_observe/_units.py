# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""systemd's view of nginx, of the app servers and of whatever owns a listening socket, in one `systemctl show`.

Unit files are read from disk only to choose what to ask for: loading all of a host's units would take longer than
all other collectors together, and `systemctl list-unit-files` knows no `ExecStart=`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._redact import (
    redact_arguments,
    redact_environment,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._shared import Notes, run
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._systemd_text import (
    parse_environment,
    parse_environment_file,
    parse_exec,
    parse_show,
    split_words,
)

if TYPE_CHECKING:
    from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import Unit

#: systemd's own search order, first wins (systemd.unit(5)).
_UNIT_DIRECTORIES = tuple(
    Path(directory)
    for directory in (
        "/etc/systemd/system.control",
        "/run/systemd/system.control",
        "/run/systemd/transient",
        "/run/systemd/generator.early",
        "/etc/systemd/system",
        "/run/systemd/system",
        "/run/systemd/generator",
        "/usr/local/lib/systemd/system",
        "/usr/lib/systemd/system",
        "/lib/systemd/system",
        "/run/systemd/generator.late",
    )
)
_OWN_UNITS = Path("/etc/systemd/system")


def _sockets_without(prefix: str) -> list[str]:
    """Patterns that match every socket unit whose name does not begin like that; systemctl itself knows no "not"."""
    return [f"{prefix[:length]}[!{letter}]*socket" for length, letter in enumerate(prefix)]


#: Those that systemd has loaded, but its own: no route leads there, every host has several, and each takes its time.
_LOADED_SOCKETS = _sockets_without("systemd-")
_PROGRAMS = (
    rb"(?m)^[ \t]*ExecStart[ \t]*=[ \t@:+!|-]*(?:[^\n]*[\s/'\"])?"
    rb"(?:nginx|openresty|angie|tengine|gunicorn|uwsgi|uvicorn|hypercorn|daphne|granian|waitress-serve|puma|unicorn"
    rb"|node|nodejs|npm|npx|yarn|pnpm|deno|bun|php-fpm|apachectl|apache2|httpd|haproxy|supervisord|dockerd)"
    rb"(?:-debug|-core|[-_.]?(?:python)?\d[\d.]*)?(?=[\s'\";]|$)"
)
_SECONDS = 10

_TYPED = [
    "Id",
    "LoadState",
    "ActiveState",
    "SubState",
    "UnitFileState",
    "Result",
    "Restart",
    "NRestarts",
    "MainPID",
    "ExecMainStatus",
    "ActiveEnterTimestamp",
    "ExecStart",
    "Environment",
    "WorkingDirectory",
    "User",
    "After",
    "Requires",
    "Wants",
    "TriggeredBy",
    "FragmentPath",
    "DropInPaths",
    "NeedDaemonReload",
]
# What Unit.raw holds, by the types of units that have it.
_OF_ALL = [
    "Names",
    "LoadError",
    "Triggers",
    "BindsTo",
    "PartOf",
    "Conflicts",
    "StartLimitIntervalUSec",
    "StartLimitBurst",
    "ConditionResult",
    "InvocationID",
    "StateChangeTimestamp",
]
_OF_SERVICES = [
    "Type",
    "PIDFile",
    "GuessMainPID",
    "NotifyAccess",
    "EnvironmentFiles",
    "RestartUSec",
    "TimeoutStartUSec",
    "TimeoutStopUSec",
    "ExecMainCode",
    "ExecMainExitTimestamp",
    "StatusText",
    "StatusErrno",
    "Group",
    "UMask",
    "PrivateTmp",
    "PrivateNetwork",
    "DynamicUser",
    "RootDirectory",
    "ProtectSystem",
    "ProtectHome",
    "RestrictAddressFamilies",
    "RuntimeDirectory",
    "RuntimeDirectoryMode",
    "RuntimeDirectoryPreserve",
    "LimitNOFILE",
    "MemoryMax",
    "MemoryCurrent",
    "TasksMax",
    "OOMPolicy",
]
_OF_SOCKETS = [
    "Listen",
    "Accept",
    "Backlog",
    "SocketMode",
    "SocketUser",
    "SocketGroup",
    "DirectoryMode",
    "RemoveOnStop",
    "TriggerLimitIntervalUSec",
    "TriggerLimitBurst",
]
_SINCE_SOME_VERSION = ["MemoryPeak"]  # 254
_RAW = [*_OF_ALL, *_OF_SERVICES, *_OF_SOCKETS, *_SINCE_SOME_VERSION]
# Typed keys that only some types of units have; that a .socket shows no ExecStart= is no news.
_TYPED_OF_SERVICES = frozenset(
    [
        "Result",
        "Restart",
        "NRestarts",
        "MainPID",
        "ExecMainStatus",
        "ExecStart",
        "Environment",
        "WorkingDirectory",
        "User",
    ]
)
# Lists that systemctl prints a line per entry of, so none when there is none.
_ONLY_WHEN_SET = frozenset({"ExecStart", "EnvironmentFiles", "Listen", "LoadError"})

#: What app servers read of their environment; everything else stays on the host.
_ENVIRONMENT = r"PORT|HOST|WEB_CONCURRENCY|FORWARDED_ALLOW_IPS|(?:GUNICORN|UVICORN|UWSGI|PUMA|NODE)_\w+"
_RESTART = r"(?m)^[ \t]*Restart[ \t]*=[ \t]*(\S*)"
_ENVIRONMENT_FILE = r"(?P<path>/.*?) \(ignore_errors=(?:yes|no)\)"


class UnitFacts(NamedTuple):
    """A unit with what may not leave the host: its real arguments and environment."""

    unit: Unit
    argv: tuple[str, ...]
    environment: dict[str, str]

    @property
    def name(self) -> str:
        return self.unit["name"]


class Units(NamedTuple):
    systemd: bool
    facts: tuple[UnitFacts, ...]


def _is_template(name: str) -> bool:
    return name.endswith("@.service")


def _unit_texts(directory: Path) -> Iterator[tuple[str, bytes]]:
    """(unit name, text) of every service file and drop-in of one directory."""
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.name.endswith(".service") and entry.is_file():
                yield entry.name, Path(entry.path).read_bytes()
            elif entry.name.endswith(".service.d"):
                for path in Path(entry.path).glob("*.conf"):
                    yield entry.name[: -len(".d")], path.read_bytes()


def _is_own(path: Path, own: Path) -> bool:
    """Tell whether somebody wrote that unit for this host: those of packages are elsewhere, and linked to."""
    return path.parent == own and path.is_file() and not path.is_symlink()


def _instances(directory: Path, template: str) -> set[str]:
    """Instances of a template that are enabled: links in the .wants and .requires directories."""
    pattern = template.replace("@.", "@*.")
    return {path.name for path in directory.glob(f"*.wants/{pattern}")} | {
        path.name for path in directory.glob(f"*.requires/{pattern}")
    }


def find_candidates(
    *, notes: Notes, directories: Iterable[Path] = _UNIT_DIRECTORIES, own: Path = _OWN_UNITS
) -> set[str]:
    """Names of service units that start nginx or an app server, or what somebody wrote for this host, running or not,
    enabled or not; and of the sockets named like them: systemd does not keep one in memory that is stopped, and it may
    be what should listen."""
    found: set[str] = set()
    # Often /lib is a link to /usr/lib, and nothing has to be read twice.
    present = list(dict.fromkeys(directory.resolve() for directory in directories if directory.is_dir()))
    for directory in present:
        try:
            found.update(
                name
                for name, text in _unit_texts(directory)
                if re.search(_PROGRAMS, text.replace(b"\\\n", b" ")) or _is_own(directory / name, own)
            )
        except OSError as error:
            notes.miss(f"unit files in {directory}", error)
    for template in [name for name in found if _is_template(name)]:
        found.discard(template)
        for directory in present:
            found |= _instances(directory, template)
    sockets = {f"{name[: -len('.service')]}.socket" for name in found}
    return found | {name for name in sockets if any((directory / name).is_file() for directory in present)}


def _number(text: str) -> int:
    return int(text) if text.isdigit() else 0


def _environment(block: dict[str, str], *, notes: Notes) -> dict[str, str]:
    """What Environment= and the EnvironmentFiles= give: files come later, so they win."""
    environment = parse_environment(block.get("Environment", ""))
    for entry in re.finditer(_ENVIRONMENT_FILE, block.get("EnvironmentFiles", "")):
        path = Path(entry["path"])
        try:
            environment.update(parse_environment_file(path.read_text("utf-8", "replace")))
        except FileNotFoundError:
            continue  # systemd itself says so in the unit's result, where it matters
        except OSError as error:
            notes.miss(f"environment file {path} of {block['Id']}", error)
    return environment


def _unrevived_by(block: dict[str, str], *, notes: Notes) -> str:
    """The drop-in that takes Restart= from a unit. The unit file itself may say no for want of a thought about it."""
    if block.get("Restart") != "no":
        return ""
    for path in reversed(split_words(block.get("DropInPaths", ""))):
        try:
            said = re.findall(_RESTART, Path(path).read_text("utf-8", "replace"))
        except OSError as error:
            notes.miss(f"{path}, a drop-in of {block['Id']}", error)
            continue
        if said:
            return path if said[-1] == "no" else ""
    return ""


def typed(block: dict[str, str], *, environment: dict[str, str], argv: tuple[str, ...], unrevived_by: str = "") -> Unit:
    """A block of `systemctl show` as a Unit."""
    return {
        "name": block["Id"],
        "load_state": block.get("LoadState", ""),
        "active_state": block.get("ActiveState", ""),
        "sub_state": block.get("SubState", ""),
        "unit_file_state": block.get("UnitFileState", ""),
        "result": block.get("Result", ""),
        "restart": block.get("Restart", ""),
        "restarts": _number(block.get("NRestarts", "")),
        "main_pid": _number(block.get("MainPID", "")),
        "exit_code": _number(block.get("ExecMainStatus", "")),
        "active_since": block.get("ActiveEnterTimestamp", ""),
        "exec_start": redact_arguments(argv),
        "environment": redact_environment(
            {name: value for name, value in environment.items() if re.fullmatch(_ENVIRONMENT, name)}
        ),
        "working_directory": block.get("WorkingDirectory", ""),
        "user": block.get("User", ""),
        "after": block.get("After", "").split(),
        "requires": block.get("Requires", "").split(),
        "wants": block.get("Wants", "").split(),
        "triggered_by": block.get("TriggeredBy", "").split(),
        "fragment": block.get("FragmentPath", ""),
        "drop_ins": split_words(block.get("DropInPaths", "")),
        "unrevived_by": unrevived_by,
        "need_daemon_reload": block.get("NeedDaemonReload") == "yes",
        "raw": {key: block[key] for key in _RAW if key in block},
    }


def _expected(name: str) -> set[str]:
    expected = {*_TYPED, *_RAW} - set(_SINCE_SOME_VERSION)
    if not name.endswith(".service"):
        expected -= {*_OF_SERVICES, *_TYPED_OF_SERVICES}
    if not name.endswith(".socket"):
        expected -= set(_OF_SOCKETS)
    return expected - _ONLY_WHEN_SET


def _say_absent(blocks: list[dict[str, str]], *, notes: Notes) -> None:
    """systemctl leaves unknown keys out and exits 0; units that do not exist lack most keys by right."""
    loaded = [block for block in blocks if block.get("LoadState") == "loaded"]
    absent = sorted({key for block in loaded for key in _expected(block["Id"]) - set(block)})
    if absent:
        notes.miss(f"unit properties {', '.join(absent)}", "this systemd does not print them")


def _facts(block: dict[str, str], *, notes: Notes) -> UnitFacts:
    environment = _environment(block, notes=notes)
    argv = parse_exec(block.get("ExecStart", ""))
    unit = typed(block, environment=environment, argv=argv, unrevived_by=_unrevived_by(block, notes=notes))
    return UnitFacts(unit=unit, argv=argv, environment=environment)


def read_units(owners: Iterable[str], *, notes: Notes, directories: Iterable[Path] = _UNIT_DIRECTORIES) -> Units:
    """The units in `owners`, those that start nginx or an app server, and every loaded .socket unit that is not
    systemd's own."""
    if not Path("/run/systemd/system").is_dir():
        notes.miss("systemd units", "this host was not booted with systemd")
        return Units(systemd=False, facts=())
    names = sorted(set(owners) | find_candidates(notes=notes, directories=directories))
    properties = ",".join(_TYPED + _RAW)
    shown = run(
        ["systemctl", "show", "--no-pager", f"--property={properties}", "--", *names, *_LOADED_SOCKETS],
        seconds=_SECONDS,
    )
    blocks = [block for block in parse_show(shown.stdout) if "Id" in block]
    if shown.status != 0:
        notes.miss("systemd units", shown.why or shown.stderr.strip() or f"systemctl exited with {shown.status}")
    _say_absent(blocks, notes=notes)
    facts = {block["Id"]: _facts(block, notes=notes) for block in blocks}
    return Units(systemd=bool(blocks), facts=tuple(facts.values()))
