# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""puma's settings: defaults of its version, environment, config/puma.rb read line by line, command line."""

from __future__ import annotations

import re
from typing import Any

from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._app_servers._reading import (
    DEFAULT,
    UNKNOWN,
    Option,
    Reading,
    number,
    parse_options,
    read_text,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._app_servers._start import Start
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._shared import Notes

_ARGUMENTS = (
    Option("bind", ("-b", "--bind")),
    Option("port", ("-p", "--port")),
    Option("config", ("-C", "--config")),
    Option("workers", ("-w", "--workers"), convert=number),
    Option("threads", ("-t", "--threads")),
    Option("environment", ("-e", "--environment")),
    Option("directory", ("--dir",)),
    Option("persistent_timeout", ("--persistent-timeout",), convert=number),
)
_TITLE = re.compile(r"puma (?P<version>\d[\w.]*) \((?P<binds>[^)]*)\)")
#: A statement of the file that is read: a name, and plain words, numbers and look-ups in the environment.
_STATEMENT = re.compile(
    r"(?P<name>[a-z_]+)(?:\s+|\s*(?P<open>\())\s*(?P<arguments>.*?)\s*(?P<condition>\b(?:if|unless)\b.*)?$"
)
_READ = frozenset(
    [
        "bind",
        "port",
        "workers",
        "threads",
        "worker_timeout",
        "worker_shutdown_timeout",
        "persistent_timeout",
        "first_data_timeout",
    ]
)
_LOOK_UP = re.compile(
    r"ENV(?:\.fetch\(\s*|\[\s*)['\"](?P<name>\w+)['\"]\s*(?:,\s*(?P<second>[^)\]]*))?[)\]]"
    r"(?:\s*\{\s*(?P<block>[^}]*?)\s*\})?(?:\s*\|\|\s*(?P<other>[^,)]+))?"
)
_OPENS = re.compile(r"^(?:if|unless|case|while|begin|def|class|module)\b|\bdo\b(?:\s*\|.*\|)?$")
_URL = re.compile(r"(?P<scheme>tcp|unix|ssl)://(?P<rest>[^?]*)")


def _literal(text: str, environment: dict[str, str], names: dict[str, Any]) -> Any:
    """A string, a number, a name set before, or a look-up with its default; UNKNOWN for anything else."""
    text = re.sub(r"\.to_[is]$", "", text.strip())
    call = re.fullmatch(r"(?:Integer|Float|String)\((.*)\)", text)
    text = call[1].strip() if call else text
    quoted = re.fullmatch(r"'([^']*)'|\"([^\"#]*)\"", text)
    if quoted:
        return quoted[1] if quoted[1] is not None else quoted[2]
    if re.fullmatch(r"\d+", text):
        return int(text)
    look_up = _LOOK_UP.fullmatch(text)
    if look_up:
        value = environment.get(look_up["name"])
        default = look_up["second"] or look_up["block"] or look_up["other"]
        return value if value is not None else (_literal(default, {}, {}) if default else UNKNOWN)
    interpolated = re.fullmatch(r"\"([^\"]*)\"", text)
    if interpolated:
        parts = re.split(r"#\{([^}]*)\}", interpolated[1])
        values = [_literal(part, environment, names) if index % 2 else part for index, part in enumerate(parts)]
        return UNKNOWN if UNKNOWN in values else "".join(str(value) for value in values)
    return names.get(text, UNKNOWN)


def _arguments(text: str) -> list[str]:
    """Split at the commas that stand outside of brackets and quotes."""
    parts, depth, quote, current = [], 0, "", ""
    for character in text:
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        elif character in "([{":
            depth += 1
        elif character in ")]}":
            depth -= 1
        if character == "," and depth == 0 and not quote:
            parts.append(current)
            current = ""
        else:
            current += character
    return [part.strip() for part in [*parts, current] if part.strip()]


def parse_puma_file(text: str, environment: dict[str, str]) -> list[tuple[str, list[Any]]]:
    """(name, arguments) of the statements that are read; UNKNOWN for what is computed or stands under a condition."""
    found: list[tuple[str, list[Any]]] = []
    names: dict[str, Any] = {}
    depth = 0
    for raw in text.splitlines():
        line = re.sub(r"(?:^|\s)#(?!\{).*$", "", raw)[:4096].strip()
        assignment = re.fullmatch(r"(\w+)\s*=\s*(?![=~])(.+)", line)
        if re.fullmatch(r"end\b.*", line):
            depth = max(0, depth - 1)
        elif assignment:
            names[assignment[1]] = UNKNOWN if depth else _literal(assignment[2], environment, names)
        else:
            found += _statement(line, environment, names, conditional=depth > 0)
        if _OPENS.search(line):
            depth += 1
    return found


def _statement(
    line: str, environment: dict[str, str], names: dict[str, Any], *, conditional: bool
) -> list[tuple[str, list[Any]]]:
    if line.startswith("preload_app!"):
        return [("preload_app", [UNKNOWN if conditional else True])]
    match = _STATEMENT.fullmatch(line)
    if not match or match["name"] not in _READ:
        return []
    arguments = match["arguments"][:-1] if match["open"] else match["arguments"]
    values = [_literal(part, environment, names) for part in _arguments(arguments)]
    return [(match["name"], [UNKNOWN for _value in values] if conditional or match["condition"] else values)]


def _major(version: str) -> int | None:
    match = re.match(r"\d+", version)
    return int(match[0]) if match else None


def _defaults(version: str) -> dict[str, Any]:
    """Those that changed between versions are not known without one."""
    major = _major(version)
    return {
        "workers": 0,
        "min_threads": 0,
        "threads": UNKNOWN if major is None else 5 if major >= 5 else 16,
        "worker_timeout": 60,
        "persistent_timeout": UNKNOWN if major is None else 65 if major >= 7 else 20,
        "first_data_timeout": 30,
        "preload_app": False,
        "backlog": 1024,
    }


def _address(text: str) -> str:
    url = _URL.match(text)
    if not url:
        return text
    rest = url["rest"]
    if url["scheme"] == "unix":
        return f"unix:{rest}" if rest.startswith("/") else "$"
    return rest


def _threads(reading: Reading, low: Any, high: Any, source: str) -> None:
    reading.put("min_threads", number(low) if low is not UNKNOWN else UNKNOWN, source)
    reading.put("threads", number(high) if high is not UNKNOWN else UNKNOWN, source)


class _Binds:
    """Binds of the highest layer that has any: the command line's, else the file's, else those of PORT."""

    def __init__(self) -> None:
        self.addresses: list[Any] = []
        self.source = DEFAULT

    def add(self, address: Any, source: str) -> None:
        if source != self.source:
            self.addresses, self.source = [], source
        self.addresses.append(address)


def _from_environment(reading: Reading, start: Start, binds: _Binds) -> None:
    environment = start.environment
    if "WEB_CONCURRENCY" in environment:
        reading.put("workers", number(environment["WEB_CONCURRENCY"]), "WEB_CONCURRENCY")
    for variable, name in (("PUMA_MIN_THREADS", "min_threads"), ("PUMA_MAX_THREADS", "threads")):
        value = environment.get(variable)
        if value:
            reading.put(name, number(value), variable)
    if environment.get("PORT"):
        binds.add(f"0.0.0.0:{environment['PORT']}", "PORT")
    if start.directory is None:
        reading.hide("environment")


def _apply(reading: Reading, binds: _Binds, statement: tuple[str, list[Any]], source: str) -> None:
    name, values = statement
    if not values:
        return
    if name == "threads":
        _threads(reading, values[0], values[-1], source)
    elif name == "port":
        host = values[1] if len(values) > 1 else "0.0.0.0"  # noqa: S104  # puma's own default
        binds.add(UNKNOWN if UNKNOWN in (values[0], host) else f"{host}:{values[0]}", source)
    elif name == "bind":
        binds.add(values[0], source)
    else:
        value = values[0]
        reading.put(name, value if value is UNKNOWN or isinstance(value, bool) else number(value), source)


def _from_file(reading: Reading, start: Start, named: str | None, binds: _Binds, *, notes: Notes) -> None:
    path = start.path(named or "config/puma.rb")
    if named == "-":
        return
    if path is None and not named:
        reading.hide("config/puma.rb")
        binds.add(UNKNOWN, "config/puma.rb")
        return
    text = read_text(path, what="puma settings", notes=notes, required=named is not None)
    if text is None:
        reading.hide(str(path))
        binds.add(UNKNOWN, str(path))
        return
    for statement in parse_puma_file(text, dict(start.environment)):
        _apply(reading, binds, statement, str(path))


def _from_arguments(reading: Reading, start: Start, binds: _Binds) -> None:
    for name, value in parse_options(start.argv[1:], _ARGUMENTS):
        if name == "threads":
            low, _colon, high = value.partition(":")
            _threads(reading, low, high or low, start.source)
        elif name == "port":
            binds.add(f"0.0.0.0:{value}", start.source)
        elif name == "bind":
            binds.add(value, start.source)
        elif name in ("workers", "persistent_timeout"):
            reading.put(name, value, start.source)


def _common(reading: Reading) -> None:
    reading.same("idle_timeout", "persistent_timeout")
    workers, threads = reading.get("workers"), reading.get("threads")
    # Without workers one process serves, and nothing watches it.
    reading.put("request_timeout", 0 if workers == 0 else reading.settings["worker_timeout"], DEFAULT)
    if isinstance(workers, int) and isinstance(threads, int):
        reading.put("concurrency", max(workers, 1) * threads, reading.settings_from["threads"])


def read_puma(start: Start, *, notes: Notes, version: str = "") -> Reading:
    """Low to high: defaults, variables, settings file, command line; a running master's title says where it binds."""
    reading = Reading()
    binds = _Binds()
    reading.layer(_defaults(version), DEFAULT)
    _from_environment(reading, start, binds)
    given = dict(parse_options(start.argv[1:], _ARGUMENTS))
    _from_file(reading, start, given.get("config"), binds, notes=notes)
    _from_arguments(reading, start, binds)
    _common(reading)
    if not binds.addresses:
        major = _major(version)
        binds.addresses = [UNKNOWN if major is None else "[::]:9292" if major >= 8 else "0.0.0.0:9292"]
    reading.binds_from = binds.source
    addresses = ["$" if address is UNKNOWN else _address(str(address)) for address in binds.addresses]
    reading.take(addresses, default_host="0.0.0.0", default_port=9292)  # noqa: S104
    return reading
