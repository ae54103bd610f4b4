# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One look at a host: runs every collector and puts the observation together."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ansible_collections.sre.bad_gateway.plugins.module_utils._nginx import _config, _routes, _settings, _statuses
from ansible_collections.sre.bad_gateway.plugins.module_utils._nginx._lexer import shown as printable
from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import (
    SCHEMA_VERSION,
    AppServer,
    Capacity,
    Endpoint,
    EndpointKey,
    ErrorLogSetting,
    NginxInstance,
    Observation,
    Settings,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe import _instances, _probe
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._app_servers._find import find_app_servers
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._capacity import read_capacity
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._host import read_host
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._logs._error_log import read_error_logs
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._logs._files import Window
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._manners import (
    Manner,
    default_manner,
    manners,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._network import listen_overflows, read_network
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._probe_child import Viewpoint
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._processes import (
    ProcessTable,
    namespace_of,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._redact import HIDDEN, is_secret_name, redact
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._shared import Notes
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._sockets import read_socket_files
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._surroundings import look_around
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._units import Units

COLLECTION_VERSION = "0.1.0"

#: What to speak with an app server that no route uses.
_PROTOCOLS = {"uwsgi": "uwsgi", "php-fpm": "fastcgi"}


_NOBODY = Viewpoint(instance="", pid=None, credentials=None)
_RESOLVE_SHARE = 0.4  # of the time that probes have: who looks up names forever still leaves the rest


@dataclass(frozen=True)
class ObserveOptions:
    """How to look. `nginx_config` limits nginx to the one instance with that main file."""

    nginx_config: str | None = None
    probe: str = "request"  # none | connect | request
    seconds: float = 5.0  # for all look-ups of names and all probes together
    log_since: float = 24 * 3600.0  # seconds back
    log_bytes: int = 64 << 20  # of each error log, the newest


@dataclass(frozen=True)
class _Nginx:
    """An instance with all that its configuration says."""

    found: _instances.Instance
    shown: NginxInstance
    endpoints: list[Endpoint]


def _instance_id(instance: _instances.Instance, *, several: bool) -> str:
    return f"nginx@{instance.config}" if several else "nginx"


def _without_secrets(settings: Settings) -> Settings:
    """Headers that nginx sends to upstreams can hold credentials."""
    return {name: [_shown_setting(name, words) for words in each] for name, each in settings.items()}


def _shown_setting(name: str, words: Sequence[str]) -> list[str]:
    if name.endswith("_set_header") and len(words) > 1 and is_secret_name(words[0]) and not words[1].startswith("$"):
        return [words[0], HIDDEN]
    return [redact(word) for word in words]


def _read_instance(instance: _instances.Instance, *, several: bool) -> _Nginx:
    config = _config.read_config(instance.config, prefix=instance.prefix)
    log = instance.command.error_log or instance.build.error_log
    user = instance.credentials.name if instance.credentials else _routes.worker_user(config) or instance.build.user
    routes, (settings, numbers) = _routes.routes(config), _settings.route_settings(config)
    for route, number in zip(routes, numbers):
        route["settings"] = number
    shown = NginxInstance(
        id=_instance_id(instance, several=several),
        running=instance.pid is not None,
        pid=instance.pid,
        binary=instance.command.binary,
        version=instance.build.version,
        flavour=instance.build.flavour,
        config=config.main,
        prefix=instance.prefix,
        user=user,
        unit=instance.unit,
        config_readable=config.whole,
        config_errors=list(config.messages),
        test=_instances.check_config(instance),
        files=[printable(file) for file in config.files],
        routes=routes,
        upstreams=_routes.upstreams(config),
        error_logs=_routes.error_logs(config, default=log),
        access_logs=[],
        settings=_settings.nginx_settings(config),
        route_settings=[_without_secrets(each) for each in settings],
        statuses=_statuses.config_statuses(config),
        open_files_limit=instance.open_files_limit,
        open_files=instance.open_files,
        runs_as_configured=_instances.runs_as_configured(instance, config.files),
    )
    return _Nginx(found=instance, shown=shown, endpoints=_routes.endpoints(config))


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
    return Endpoint(
        key=key,
        transport=transport,
        host=bare if tcp else None,
        port=int(port) if tcp else None,
        path=None if tcp else rest,
        protocol=protocol,
        addresses=[bare] if tcp else [],
        resolve_error=None,
        written_at=[],
    )


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


def _viewpoint(nginx: _Nginx) -> Viewpoint:
    credentials = nginx.found.credentials
    if credentials is None and nginx.shown["user"]:
        credentials = _instances.user_credentials(nginx.shown["user"])
    return Viewpoint(instance=nginx.shown["id"], pid=nginx.found.pid, credentials=credentials)


def _resolve(nginxes: Sequence[_Nginx], *, seconds: float, notes: Notes) -> None:
    """Fill in the addresses of the endpoints that are written as names."""
    views = [
        _probe.View(
            _viewpoint(nginx),
            hosts=sorted({one["host"] for one in nginx.endpoints if one["host"] and not one["addresses"]}),
        )
        for nginx in nginxes
    ]
    resolved = _probe.resolve_names(views, seconds=seconds, notes=notes)
    for endpoint, names in ((one, names) for nginx, names in zip(nginxes, resolved) for one in nginx.endpoints):
        if endpoint["host"] in names:
            found = names[endpoint["host"]]
            endpoint["addresses"], endpoint["resolve_error"] = found.addresses, found.error


def _wanted(endpoints: Iterable[Endpoint], manners: Mapping[tuple[EndpointKey, str], Manner]) -> list[_probe.Wanted]:
    return [
        _probe.Wanted.of(one, manner=manners.get((one["key"], one["protocol"])) or default_manner(one["protocol"]))
        for one in endpoints
    ]


def _look(
    nginxes: Sequence[_Nginx], unrouted: Sequence[Endpoint], *, mode: str, seconds: float, notes: Notes
) -> _probe.Looked:
    """Every nginx probes its own endpoints and all that no route uses; without nginx we look as ourselves."""
    if mode == "none":
        notes.miss("probes", "switched off by the option probe")
        return _probe.Looked()
    views = [
        _probe.View(_viewpoint(nginx), _wanted([*nginx.endpoints, *unrouted], manners(nginx.shown)))
        for nginx in nginxes
    ]
    views = views or [_probe.View(_NOBODY, _wanted(unrouted, {}))]
    return _probe.look(views, mode=mode, seconds=seconds, notes=notes)


def _merged(nginxes: Iterable[_Nginx]) -> list[Endpoint]:
    """Each endpoint once per protocol, with every place that names it."""
    merged: dict[tuple[EndpointKey, str], Endpoint] = {}
    for nginx in nginxes:
        for endpoint in nginx.endpoints:
            known = merged.setdefault((endpoint["key"], endpoint["protocol"]), endpoint)
            known["written_at"] += [place for place in endpoint["written_at"] if place not in known["written_at"]]
    return list(merged.values())


def _error_log_settings(nginxes: Iterable[_Nginx]) -> list[ErrorLogSetting]:
    return [setting for nginx in nginxes for setting in nginx.shown["error_logs"]]


def _say_unread_listeners(nginx: NginxInstance, *, notes: Notes) -> None:
    """Listeners are read from our own network namespace; an nginx in another one meets others."""
    if nginx["pid"] is None:
        return
    with contextlib.suppress(OSError):  # that it may not be seen is said with the probes
        if namespace_of(nginx["pid"], "net") != namespace_of("self", "net"):
            notes.miss(
                f"listening sockets in the network namespace of {nginx['id']}", "only this process's own is read"
            )


def _read_nginxes(*, table: ProcessTable, units: Units, options: ObserveOptions, notes: Notes) -> list[_Nginx]:
    found = _instances.find_instances(table=table, units=units, config=options.nginx_config, notes=notes)
    nginxes = [_read_instance(instance, several=len(found) > 1) for instance in found]
    for shown in (nginx.shown for nginx in nginxes):
        if not shown["test"]["ran"]:
            notes.miss(f"nginx -t of {shown['config']}", shown["test"]["why"])
        _say_unread_listeners(shown, notes=notes)
    return nginxes


def _worker_uids(nginxes: Iterable[_Nginx]) -> list[int]:
    credentials = [_viewpoint(nginx).credentials for nginx in nginxes]
    return sorted({one.uid for one in credentials if one})


def _capacity(nginxes: Sequence[_Nginx], *, sockets: Iterable[str], notes: Notes) -> Capacity:
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
    window = Window(since=time.time() - options.log_since, limit=options.log_bytes)
    observed_at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    overflows = listen_overflows(notes=notes)
    around = look_around(notes=notes)
    table, listeners, units = around.table, around.listeners, around.units
    nginxes = _read_nginxes(table=table, units=units, options=options, notes=notes)
    apps = find_app_servers(table=table, units=units, listeners=listeners, notes=notes)
    probing = time.monotonic()
    _resolve(nginxes, seconds=options.seconds * _RESOLVE_SHARE, notes=notes)
    endpoints = _merged(nginxes)
    unrouted = _unrouted(apps, endpoints)
    left = options.seconds - (time.monotonic() - probing)
    looked = _look(nginxes, unrouted, mode=options.probe, seconds=left, notes=notes)
    paths = [endpoint["path"] for endpoint in endpoints if endpoint["path"]]
    host = read_host(systemd=units.systemd, notes=notes)
    return Observation(
        schema=SCHEMA_VERSION,
        collection_version=COLLECTION_VERSION,
        observed_at=observed_at,
        host=host,
        nginx=[nginx.shown for nginx in nginxes],
        endpoints=[*endpoints, *unrouted],
        listeners=listeners,
        socket_files=read_socket_files(paths, listeners=listeners, table=table, denied=looked.denied, notes=notes),
        units=[facts.unit for facts in units.facts],
        app_servers=apps,
        probes=looked.probes,
        error_logs=read_error_logs(_error_log_settings(nginxes), window=window, notes=notes),
        access_logs=[],
        journals=[],
        network=read_network(
            [*endpoints, *unrouted],
            own=host["addresses"],
            uids=_worker_uids(nginxes),
            overflows_before=overflows,
            notes=notes,
        ),
        capacity=_capacity(nginxes, sockets=paths, notes=notes),
        missed=notes.entries,
        seconds=round(time.monotonic() - started, 3),
    )
