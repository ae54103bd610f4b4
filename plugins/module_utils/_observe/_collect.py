# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One look at a host: runs every collector and puts the observation together."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from ansible_collections.sre.bad_gateway.plugins.module_utils._observe import _instances
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._app_servers._find import find_app_servers
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._capacity import read_capacity
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._endpoints import look, merged, resolve
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._host import read_host
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._logs._access_log import read_access_logs
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._logs._app_log import app_logs
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._logs._error_log import read_error_logs
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._logs._files import Window
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._logs._journal import read_journals
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._network import listen_overflows, read_network
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._nginxes import (
    Nginx,
    read_nginxes,
    units_by_log,
    worker_uids,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._shared import Notes
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._sockets import read_socket_files
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._surroundings import look_around
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._units import Units
from ansible_collections.sre.bad_gateway.plugins.module_utils._version import COLLECTION_VERSION, SCHEMA_VERSION

if TYPE_CHECKING:
    from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import (
        AccessLogSetting,
        AppServer,
        Capacity,
        Endpoint,
        EndpointKey,
        ErrorLogSetting,
        Observation,
        Unit,
    )

#: What to speak with an app server that no route uses.
_PROTOCOLS = {"uwsgi": "uwsgi", "php-fpm": "fastcgi"}

_RESOLVE_SHARE = 0.4  # of the time that probes have: who looks up names forever still leaves the rest


class ObserveOptions(NamedTuple):
    """How to look. `nginx_config` limits nginx to the one instance with that main file."""

    logs: Window
    nginx_config: str | None = None
    probe: str = "request"  # none | connect | request
    seconds: float = 5.0  # for all look-ups of names and all probes together


def _protocol(app: AppServer, key: EndpointKey) -> str:
    known = app["settings"].get("protocols", {}).get(key)
    if known:
        return str(known)
    if app["kind"] in _PROTOCOLS:
        return _PROTOCOLS[app["kind"]]
    return "https" if app["settings"].get("certfile") else "http"


def _key_endpoint(key: EndpointKey, *, protocol: str) -> Endpoint:
    """An app server's own listener as an endpoint; one on every address is reached over loopback."""
    transport, _colon, rest = key.partition(":")
    host, _colon, port = rest.rpartition(":")
    bare = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host.strip("[]"), host.strip("[]"))  # noqa: S104
    tcp = transport == "tcp"
    return {
        "key": key,
        "transport": transport,
        "host": bare if tcp else None,
        "port": int(port) if tcp else None,
        "path": None if tcp else rest,
        "protocol": protocol,
        "addresses": [bare] if tcp else [],
        "resolve_error": None,
        "written_at": [],
    }


def _serves(listener: Endpoint, endpoint: Endpoint) -> bool:
    """Whether a connection to `endpoint` ends at that listener; one on all addresses serves every one of them."""
    if endpoint["transport"] == "unix" or listener["transport"] == "unix":
        return listener["key"] == endpoint["key"]
    everywhere = listener["key"].startswith(("tcp:0.0.0.0:", "tcp:[::]:"))
    return listener["port"] == endpoint["port"] and (
        everywhere or bool(set(listener["addresses"]) & set(endpoint["addresses"]))
    )


def _unrouted(apps: Iterable[AppServer], routed: Sequence[Endpoint]) -> list[Endpoint]:
    """Listeners of app servers that no route leads to: among them is the right target of a wrong one."""
    found: dict[EndpointKey, Endpoint] = {}
    for app in apps:
        for key in app["listens"]:
            if app["kind"] == "other" and key.startswith("unix:"):
                continue  # an unknown daemon's socket file is not for us to write to
            listener = _key_endpoint(key, protocol=_protocol(app, key))
            if not any(_serves(listener, endpoint) for endpoint in routed):
                found[key] = listener
    return list(found.values())


def _error_log_settings(nginxes: Iterable[Nginx]) -> list[ErrorLogSetting]:
    return [setting for nginx in nginxes for setting in nginx.shown["error_logs"]]


def _access_log_settings(nginxes: Iterable[Nginx]) -> list[AccessLogSetting]:
    return [setting for nginx in nginxes for setting in nginx.shown["access_logs"]]


def _journal_units(nginxes: Iterable[Nginx], apps: Iterable[AppServer], *, units: Units) -> list[Unit]:
    """Those of nginx and of app servers, and what starts them when somebody connects."""
    names = {nginx.shown["unit"] for nginx in nginxes} | {app["unit"] for app in apps}
    starting = {name for facts in units.facts if facts.name in names for name in facts.unit["triggered_by"]}
    return [facts.unit for facts in units.facts if facts.name in names | starting]


def _capacity(nginxes: Sequence[Nginx], *, sockets: Iterable[str], notes: Notes) -> Capacity:
    """Room for what nginx writes: its logs, what it buffers, and what app servers listen on."""
    settings = [*(one for nginx in nginxes for one in (*nginx.shown["error_logs"], *nginx.shown["access_logs"]))]
    return read_capacity(
        logs=[one["destination"] for one in settings if one["destination"].startswith("/")],
        written=[
            *sockets,
            *(path for nginx in nginxes for path in _instances.temporary_paths(nginx.found, nginx.shown["settings"])),
        ],
        masters=[nginx.found.pid for nginx in nginxes if nginx.found.pid is not None],
        notes=notes,
    )


def observe(options: ObserveOptions) -> Observation:
    """Look at this host. Nothing that is broken on it is an error here; what could not be seen is in `missed`."""
    started = time.monotonic()
    notes = Notes()
    observed_at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    overflows = listen_overflows(notes=notes)
    around = look_around(notes=notes)
    table, listeners, units = around.table, around.listeners, around.units
    nginxes = read_nginxes(table=table, units=units, config=options.nginx_config, notes=notes)
    apps = find_app_servers(table=table, units=units, listeners=listeners, notes=notes)
    probing = time.monotonic()
    resolve(nginxes, seconds=options.seconds * _RESOLVE_SHARE, notes=notes)
    endpoints = merged(nginxes)
    unrouted = _unrouted(apps, endpoints)
    left = options.seconds - (time.monotonic() - probing)
    looked = look(nginxes, unrouted, mode=options.probe, seconds=left, notes=notes)
    paths = [endpoint["path"] for endpoint in endpoints if endpoint["path"]]
    host = read_host(systemd=units.systemd, notes=notes)
    return {
        "schema": SCHEMA_VERSION,
        "collection_version": COLLECTION_VERSION,
        "observed_at": observed_at,
        "host": host,
        "nginx": [nginx.shown for nginx in nginxes],
        "endpoints": [*endpoints, *unrouted],
        "listeners": listeners,
        "socket_files": read_socket_files(paths, listeners=listeners, table=table, denied=looked.denied, notes=notes),
        "units": [facts.unit for facts in units.facts],
        "app_servers": apps,
        "probes": looked.probes,
        "error_logs": read_error_logs(
            _error_log_settings(nginxes), units=units_by_log(nginxes), window=options.logs, notes=notes
        ),
        "access_logs": read_access_logs(_access_log_settings(nginxes), window=options.logs.quarter, notes=notes),
        "journals": read_journals(
            _journal_units(nginxes, apps, units=units), logs=app_logs(apps), since=options.logs.since, notes=notes
        ),
        "network": read_network(
            [*endpoints, *unrouted],
            own=host["addresses"],
            uids=worker_uids(nginxes),
            overflows_before=overflows,
            notes=notes,
        ),
        "capacity": _capacity(nginxes, sockets=paths, notes=notes),
        "missed": notes.entries,
        "seconds": round(time.monotonic() - started, 3),
    }
