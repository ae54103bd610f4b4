# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The pool of workers behind one endpoint of uWSGI's or PHP-FPM's: what says its numbers, and in which file."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Iterable, Mapping, Sequence

from ansible_collections.sre.bad_gateway.plugins.module_utils._change._errors import ChangeError
from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import AppServer, Listener
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._app_servers._find import (
    find_app_servers,
    listener_key,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._app_servers._php_fpm import SettingsFiles
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._app_servers._reading import DEFAULT
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._app_servers._start import program_words
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._processes import read_processes
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._shared import Notes
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._sockets import read_listeners
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._units import read_units

_EVERY = ("0.0.0.0", "[::]")  # noqa: S104


class CapacityError(ChangeError):
    """The numbers cannot be what they should; the message names the unit or file, and the remedy."""


@dataclass(frozen=True)
class Names:
    """What a kind calls its settings; the first name is what a new line gets."""

    workers: Sequence[str]
    backlog: Sequence[str]
    beside: Sequence[str]  # a new line follows these

    def of(self, setting: str) -> Sequence[str]:
        """All names of a setting."""
        return next((names for names in (self.workers, self.backlog) if setting in names), (setting,))


NAMES = {
    "uwsgi": Names(
        workers=("processes", "workers", "p"),
        backlog=("listen", "l"),
        beside=("socket", "uwsgi-socket", "http-socket", "http11-socket", "s"),
    ),
    "php-fpm": Names(workers=("pm.max_children",), backlog=("listen.backlog",), beside=("listen",)),
}


@dataclass(frozen=True)
class Pool:
    """One of PHP-FPM's pools, or the only one of a uWSGI."""

    app: AppServer
    name: str  # "" for uWSGI
    settings: Mapping[str, Any]  # None: not known
    sources: Mapping[str, str]
    endpoints: Sequence[str]
    backlog: int | None  # that the kernel has now; None: nobody listens
    elsewhere: int = 0  # workers that other pools of the same master may have
    argv: Sequence[str] = ()  # that the unit starts it by

    @property
    def names(self) -> Names:
        return NAMES[self.app["kind"]]

    def file_of(self, setting: str) -> str:
        """The file to change a setting in; CapacityError where something else than a file of the host's says it."""
        source = self.sources.get(setting, DEFAULT)
        if source != DEFAULT and not _is_own_file(source) and not source.startswith("/"):
            said = f"{source} says {setting}; change it there" if source else f"what says {setting} cannot be read"
            raise CapacityError(f"{self.app['unit']}: {said}")
        if _is_own_file(source):
            return source
        for candidate in (self.app["binds_from"], self.sources.get("ini", ""), *self.sources.values()):
            if _is_own_file(candidate):
                return candidate
        raise CapacityError(f"{self.app['unit']}: it has no settings file of its own that {setting} could stand in")


def _is_own_file(source: str) -> bool:
    """Packages write below /usr without asking."""
    return source.startswith("/") and (not source.startswith("/usr/") or source.startswith("/usr/local/"))


def find_pool(unit: str, endpoint: str | None) -> Pool:
    """By the same look that the diagnosis has. Without an endpoint there must be only one pool."""
    notes = Notes()
    table = read_processes(notes=notes)
    units = read_units([unit], notes=notes)
    listeners = read_listeners(table=table, notes=notes)
    apps = find_app_servers(table=table, units=units, listeners=listeners, notes=notes)
    pools = [pool for app in apps if app["unit"] == unit for pool in pools_of(app, listeners)]
    argv = next(program_words(one.argv) for one in units.facts if one.name == unit)
    if not pools:
        raise CapacityError(f"{unit}: neither uWSGI nor PHP-FPM was found in what it starts and runs")
    chosen = [pool for pool in pools if endpoint is None or any(_is_same(endpoint, each) for each in pool.endpoints)]
    if len(chosen) != 1:
        there = ", ".join(each for pool in pools for each in pool.endpoints) or "unknown places"
        what = f"{len(chosen)} pools of workers serve {endpoint}" if endpoint else f"it has {len(chosen)}"
        raise CapacityError(f"{unit}: {what}, and one has to be meant; name one by its endpoint of: {there}")
    return replace(chosen[0], argv=argv)


def pools_of(app: AppServer, listeners: Iterable[Listener]) -> list[Pool]:
    lengths = {listener_key(one): one["backlog"] for one in listeners}
    if app["kind"] == "uwsgi":
        endpoints = app["binds"] or app["listens"]
        return [
            Pool(
                app=app,
                name="",
                settings=app["settings"],
                sources=app["settings_from"],
                endpoints=endpoints,
                backlog=_length(app["binds"], lengths),
            )
        ]
    return _php_pools(app, lengths) if app["kind"] == "php-fpm" else []


def _php_pools(app: AppServer, lengths: Mapping[str, int | None]) -> list[Pool]:
    pools: dict[str, dict[str, Any]] = app["settings"].get("pools") or {}
    sources: dict[str, dict[str, str]] = {name: {} for name in pools}
    for section, setting, _value, file in SettingsFiles(Notes()).lines(Path(app["settings_from"].get("pools", "/"))):
        sources.get(section, {})[setting] = file
    children = {name: pool.get("pm.max_children") or 0 for name, pool in pools.items()}
    return [
        Pool(
            app=app,
            name=name,
            settings=pool,
            # What nobody set is to stand beside what the pool cannot be without.
            sources={"listen.backlog": sources[name].get("listen", DEFAULT), **sources[name]},
            endpoints=[pool["bind"]] if pool["bind"] else [],
            backlog=_length([pool["bind"]], lengths),
            elsewhere=sum(children.values()) - children[name],
        )
        for name, pool in pools.items()
    ]


def _length(binds: Iterable[str | None], lengths: Mapping[str, int | None]) -> int | None:
    """The shortest queue of those that are listened on."""
    found = [lengths.get(bind) for bind in binds if bind]
    return min((length for length in found if length is not None), default=None)


def _is_same(endpoint: str, bind: str) -> bool:
    """127.0.0.1:9000 is served by who listens on port 9000 of every address, and a link leads to a socket."""
    if not endpoint.startswith("tcp:") or not bind.startswith("tcp:"):
        return os.path.realpath(endpoint[len("unix:") :]) == os.path.realpath(bind[len("unix:") :])
    host, _colon, port = bind[len("tcp:") :].rpartition(":")
    return endpoint == bind or (host in _EVERY and endpoint.endswith(f":{port}"))
