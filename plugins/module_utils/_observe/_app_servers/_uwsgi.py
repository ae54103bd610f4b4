# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""uWSGI's settings: options from its command line, from ini files, and from UWSGI_* variables, one after the other."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._app_servers._reading import (
    DEFAULT,
    UNKNOWN,
    Option,
    Reading,
    defaults,
    number,
    parse_bind,
    read_text,
    truth,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._app_servers._start import Start
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._shared import Notes

_PROTOCOLS = {
    "socket": "uwsgi",
    "uwsgi-socket": "uwsgi",
    "http-socket": "http",
    "http11-socket": "http",
    "http": "http",
    "https-socket": "https",
    "https": "https",
    "fastcgi-socket": "fastcgi",
    "scgi-socket": "scgi",
}

_SETTINGS = (
    Option("processes", default=1, convert=number),
    Option("threads", default=1, convert=number),
    Option("listen", default=100, convert=number),
    Option("harakiri", default=0, convert=number),
    Option("buffer-size", default=4096, convert=number),
    Option("post-buffering", default=0, convert=number),
    Option("max-requests", default=0, convert=number),
    Option("cheaper", default=0, convert=number),
    Option("http-timeout", default=60, convert=number),
    Option("so-keepalive", default=False, convert=truth, flag=True),
    Option("http-keepalive", default=0, convert=number),
    Option("master", default=False, convert=truth, flag=True),
    Option("vacuum", default=False, convert=truth, flag=True),
    Option("need-app", default=False, convert=truth, flag=True),
    Option("die-on-term", default=False, convert=truth, flag=True),
    Option("chmod-socket"),
    Option("chown-socket"),
    Option("uid"),
    Option("gid"),
    Option("logto"),
    Option("daemonize"),
    Option("pidfile"),
    Option("ini"),
)
_BY_NAME = {option.name: option for option in _SETTINGS}
_SAME = {"workers": "processes", "logto2": "logto", "p": "processes", "s": "socket", "l": "listen", "t": "harakiri"}
_SAME.update({"M": "master", "b": "buffer-size", "d": "daemonize", "R": "max-requests"})
_WITHOUT_VALUE = frozenset({option.name for option in _SETTINGS if option.flag} | {"enable-threads", "lazy-apps"})
_UNREAD = frozenset(["yaml", "yml", "xml", "json", "emperor", "fastrouter", "ini-paste", "ini-paste-logged", "config"])
_INI = frozenset(["ini", "include", "inherit"])
_OTHER_FILES = re.compile(r"\.(?:ya?ml|xml|json)(?::\w+)?$")
_PLACEHOLDER = re.compile(r"%\((?P<name>[^)]+)\)|%(?P<letter>[a-zA-Z])|\$\((?P<variable>\w+)\)|@\(")
_DEEPEST = 8
_MOST = 2_000  # options
_MOST_FILES = 64


@dataclass
class _Options:
    """Every option in uWSGI's own order, with where it stands. The last one of a name wins; sockets add up."""

    start: Start
    notes: Notes
    found: list[tuple[str, str, str]] = field(default_factory=list)
    whole: bool = True
    files: int = 0

    def add(self, name: str, value: str, source: str, *, depth: int = 0) -> None:
        name = _SAME.get(name, name)
        if name in _INI:
            self._ini(value, depth=depth)
        elif name in _UNREAD:
            self.miss(f"uWSGI settings {value}", f"of the option {name} are not read")
        elif len(self.found) < _MOST:
            self.found.append((name, value, source))

    def miss(self, what: str, why: str) -> None:
        self.notes.miss(what, why)
        self.whole = False

    def _ini(self, name: str, *, depth: int) -> None:
        file, _colon, section = name.partition(":")
        self.files += 1
        if depth >= _DEEPEST or self.files >= _MOST_FILES:
            self.miss(f"uWSGI settings {name}", "included too deep or too often")
            return
        path = self.start.path(file)
        text = read_text(path, what="uWSGI settings", notes=self.notes)
        if text is None or path is None:
            self.whole = False
            return
        for option, value in _section(text, section or "uwsgi"):
            if self.files >= _MOST_FILES:
                return  # as the note says
            self.add(option, _in_file(value, path), str(path), depth=depth + 1)
        # The last one is read after everything else: what it says is in force, also what it does not say yet.
        self.found.append(("ini", str(path), str(path)))

    def value(self, text: str) -> Any:
        """With %(name) and $(VARIABLE) replaced; UNKNOWN when one of them is not known."""
        if not _PLACEHOLDER.search(text):
            return text
        options = {name: value for name, value, _source in self.found}

        def replacement(match: re.Match[str]) -> str:
            if match["variable"]:
                return self.start.environment[match["variable"]]
            return options[match["name"] or match["letter"]]

        for _attempt in range(_DEEPEST):
            try:
                new = _PLACEHOLDER.sub(replacement, text)
            except (KeyError, IndexError, TypeError):
                return UNKNOWN
            if new == text or len(new) > 4096:
                break
            text = new
        return text


def _in_file(value: str, path: Path) -> str:
    """The letters that stand for parts of the file's own name."""
    letters = {
        "p": str(path),
        "s": path.name,
        "d": f"{path.parent}/",
        "e": path.suffix[1:],
        "n": path.stem,
        "c": path.parent.name,
        "k": str(os.cpu_count()),
        "h": os.uname().nodename,
    }
    return re.sub(r"%([psdenckh])(?!\w)|%([psdenckh])", lambda match: letters[match[1] or match[2]], value)


def _section(text: str, wanted: str) -> Iterator[tuple[str, str]]:
    """The options of one section of an ini file. Keys may come several times."""
    section = ""
    for raw in text.splitlines():
        line = raw.split(";", 1)[0].strip()
        if line.startswith("[") and line.endswith("]"):
            section = line[1:-1]
        elif section == wanted and line and not line.startswith("#"):
            name, equals, value = line.partition("=")
            yield name.strip(), value.strip() if equals else "true"


def _from_arguments(options: _Options, words: tuple[str, ...]) -> None:
    waiting = ""
    bare: list[str] = []
    for word in words:
        if waiting:
            options.add(waiting, word, options.start.source)
            waiting = ""
        elif word.startswith("-"):
            name, equals, value = word.lstrip("-").partition("=")
            name = _SAME.get(name, name)
            if equals or name in _WITHOUT_VALUE:
                options.add(name, value or "true", options.start.source)
            elif not word.startswith("--") and len(word) > 2 and word[1] in _SAME:
                options.add(word[1], word[2:], options.start.source)
            elif name in _PROTOCOLS or name in _BY_NAME or name in _INI or name in _UNREAD or name == "set":
                waiting = name
        else:
            bare.append(word)
    for word in bare:
        if re.search(r"\.ini(?::\w+)?$", word):
            options.add("ini", word, options.start.source)
        elif _OTHER_FILES.search(word):
            options.miss(f"uWSGI settings {word}", "only ini files are read")


def _from_environment(options: _Options) -> None:
    for variable, value in options.start.environment.items():
        if variable.startswith("UWSGI_"):
            options.add(variable[len("UWSGI_") :].lower().replace("_", "-"), value, variable)


def _sockets(options: _Options, reading: Reading) -> None:
    protocols: dict[str, str] = {}
    reading.binds_from = ""
    for name, text, source in options.found:
        if name not in _PROTOCOLS:
            continue
        value = options.value(text)
        address = "" if value is UNKNOWN else value.split(",", 1)[0]
        key = None if not address or "%" in address else parse_bind(address, default_host="0.0.0.0", default_port=0)  # noqa: S104
        reading.binds_from = source
        if key is None:
            reading.binds_known = False
            continue
        reading.binds.append(key)
        protocols[key] = _PROTOCOLS[name]
    # Without any socket of its own, a socket unit or the vassals of an emperor have them.
    reading.binds_known = reading.binds_known and bool(reading.binds) and options.whole
    reading.put("protocols", protocols, reading.binds_from)


def _common(reading: Reading, *, keeps: bool) -> None:
    reading.same("workers", "processes")
    reading.same("backlog", "listen")
    reading.same("request_timeout", "harakiri")
    workers, threads = reading.get("workers"), reading.get("threads")
    if isinstance(workers, int) and isinstance(threads, int):
        reading.put("concurrency", workers * threads, reading.settings_from["workers"])
    if keeps:
        reading.put("idle_timeout", UNKNOWN, reading.binds_from)
    else:
        reading.put("idle_timeout", 0, DEFAULT)


def read_uwsgi(start: Start, *, notes: Notes) -> Reading:
    """The last one wins: options in the order of the command line, ini files where they are named, then variables."""
    options = _Options(start=start, notes=notes)
    _from_arguments(options, start.argv[1:])
    _from_environment(options)
    reading = Reading()
    reading.layer(defaults(_SETTINGS), DEFAULT)
    if start.directory is None or not options.whole:
        reading.whole = False
        reading.hide("")
    for name, text, source in options.found:
        if name in _BY_NAME:
            value = options.value(text)
            reading.put(name, UNKNOWN if value is UNKNOWN else _BY_NAME[name].convert(value), source)
    _sockets(options, reading)
    named = {name for name, _value, _source in options.found}
    _common(reading, keeps=bool(named & {"http11-socket", "http-keepalive", "http", "https"}))
    return reading
