# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""PHP-FPM's settings: one master, many pools, each with its own listener and its own limits."""

from __future__ import annotations

import glob
import itertools
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._app_servers._reading import (
    DEFAULT,
    Option,
    Reading,
    defaults,
    number,
    parse_options,
    read_text,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._app_servers._start import Start
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._shared import Notes

_ARGUMENTS = (
    Option("config", ("-y", "--fpm-config")),
    Option("prefix", ("-p", "--prefix")),
    Option("ini", ("-c", "--php-ini")),
)
_TITLE = r"php-fpm: master process \((?P<file>[^)]+)\)"
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


def seconds(text: str) -> Any:
    """`30`, `30s`, `1m`."""
    match = re.fullmatch(r"(\d+)([smhd]?)", text.strip())
    return int(match[1]) * _SECONDS[match[2]] if match else number(text)


_GLOBAL: tuple[Option, ...] = (
    Option("error_log"),
    Option("log_level", default="notice"),
    Option("process.max", default=0, convert=number),
    Option("emergency_restart_threshold", default=0, convert=number),
    Option("emergency_restart_interval", default=0, convert=seconds),
    Option("process_control_timeout", default=0, convert=seconds),
    Option("rlimit_files", convert=number),
)
_POOL: tuple[Option, ...] = (
    Option("listen"),
    Option("listen.backlog", convert=number),  # its default depends on the version
    Option("listen.owner"),
    Option("listen.group"),
    Option("listen.mode", default="0660"),
    Option("listen.acl_users"),
    Option("listen.acl_groups"),
    Option("listen.allowed_clients"),
    Option("user"),
    Option("group"),
    Option("pm"),
    Option("pm.max_children", convert=number),
    Option("pm.start_servers", convert=number),
    Option("pm.min_spare_servers", convert=number),
    Option("pm.max_spare_servers", convert=number),
    Option("pm.max_requests", default=0, convert=number),
    Option("pm.process_idle_timeout", default=10, convert=seconds),
    Option("pm.status_path"),
    Option("request_terminate_timeout", default=0, convert=seconds),
    Option("request_slowlog_timeout", default=0, convert=seconds),
    Option("rlimit_files", convert=number),
    Option("access.log"),
    Option("slowlog"),
    Option("chroot"),
)
_MOST_FILES = 256


class SettingsFiles:
    """Reads a main file and what it includes, each file once."""

    def __init__(self, notes: Notes) -> None:
        self._notes = notes
        self._seen: set[Path] = set()
        self.whole = True

    def lines(self, path: Path | None, section: str = "") -> Iterator[tuple[str, str, str, str]]:
        """(section, name, value, file); an included file goes on in the section that it is included in."""
        if path in self._seen or len(self._seen) >= _MOST_FILES:
            self.miss(f"PHP-FPM settings {path}", "included in a circle" if path in self._seen else "too many files")
            return
        text = read_text(path, what="PHP-FPM settings", notes=self._notes)
        if text is None or path is None:
            self.whole = False
            return
        self._seen.add(path)
        for raw in text.splitlines():
            line = re.sub(r"\s+;.*$", "", raw).strip()
            if line.startswith("[") and line.endswith("]"):
                section = line[1:-1].strip()
            elif "=" in line and not line.startswith((";", "#")):
                name, _equals, value = line.partition("=")
                name, value = name.strip(), value.strip().strip("\"'")
                if name == "include":
                    for file in sorted(itertools.islice(glob.iglob(value), _MOST_FILES)):  # noqa: PTH207  # absolute
                        yield from self.lines(Path(file), section)
                else:
                    yield section, name, value, str(path)

    def miss(self, what: str, why: str) -> None:
        self._notes.miss(what, why)
        self.whole = False


def _main_file(start: Start) -> Path | None:
    """From the command line, from the master's title, else where packages have it."""
    title = re.match(_TITLE, start.argv[0]) if start.argv else None
    if title:
        return start.path(title["file"])
    options = dict(parse_options(start.argv[1:], _ARGUMENTS))
    if "config" in options:
        return start.path(options["config"])
    version = re.search(r"php-fpm([\d.]+)$", start.argv[0]) if start.argv else None
    usual = [f"/etc/php/{version[1]}/fpm/php-fpm.conf"] if version else []
    usual += ["/etc/php-fpm.conf", "/usr/local/etc/php-fpm.conf"]
    return next((Path(path) for path in usual if Path(path).is_file()), Path(usual[0]))


def _put(reading: Reading, pools: dict[str, Reading], line: tuple[str, str, str, str]) -> None:
    section, name, value, source = line
    target, options = reading, _GLOBAL
    if section != "global":
        target, options = pools.setdefault(section, Reading()), _POOL
        if not target.settings:
            target.layer(defaults(_POOL), DEFAULT)
        value = value.replace("$pool", section)
    option = next((option for option in options if option.name == name), None)
    if option:
        target.put(name, option.convert(value), source)


def _address(listen: str, start: Start) -> str:
    """A bare port is a port of every address; a path without a slash at its start stands below the prefix."""
    if listen.isdigit():
        return f"0.0.0.0:{listen}"
    if "/" in listen and not listen.startswith("/"):
        prefix = dict(parse_options(start.argv[1:], _ARGUMENTS)).get("prefix", "/usr")
        return f"{prefix}/{listen}"
    return listen


def read_php_fpm(start: Start, *, notes: Notes) -> Reading:
    """The pools are in the setting `pools`, each with its bind and all its settings, under PHP-FPM's own names."""
    files = SettingsFiles(notes)
    reading = Reading()
    reading.layer(defaults(_GLOBAL), DEFAULT)
    pools: dict[str, Reading] = {}
    path = _main_file(start)
    for line in files.lines(path):
        if len(pools) > _MOST_FILES:
            files.miss(f"PHP-FPM settings {path}", "too many pools")
            break
        _put(reading, pools, line)
    shown = {}
    for name, pool in pools.items():
        _common_of_pool(pool)
        before = len(reading.binds)
        reading.take([_address(pool.get("listen") or "$", start)], default_host="0.0.0.0", default_port=9000)  # noqa: S104
        own = reading.binds[before:]
        shown[name] = {"bind": own[0] if own else None, **pool.shown()[0]}
    reading.put("pools", shown, str(path))
    reading.binds_from = next((pool.settings_from["listen"] for pool in pools.values()), str(path))
    reading.binds_known = reading.binds_known and files.whole and bool(pools)
    reading.whole = files.whole
    _common(reading, list(pools.values()), str(path))
    return reading


def _common_of_pool(pool: Reading) -> None:
    pool.same("workers", "pm.max_children")
    pool.same("concurrency", "pm.max_children")
    pool.same("backlog", "listen.backlog")
    pool.same("request_timeout", "request_terminate_timeout")
    pool.put("threads", 1, DEFAULT)
    pool.put("idle_timeout", 0, DEFAULT)  # FastCGI connections are closed unless nginx asks to keep them


def _common(reading: Reading, pools: Sequence[Reading], source: str) -> None:
    """With one pool those of the pool; several differ, so what they add up to is said, and what they share."""
    for name in ("workers", "concurrency", "backlog", "request_timeout", "threads", "idle_timeout"):
        values = [pool.get(name) for pool in pools]
        if not values or None in values:
            continue
        if name in ("workers", "concurrency"):
            reading.put(name, sum(values), source)
        elif len(set(values)) == 1:
            reading.put(name, values[0], pools[0].settings_from[name])
