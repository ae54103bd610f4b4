# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""uvicorn's, hypercorn's, granian's and waitress's settings: command line over variables, where they read any."""

from __future__ import annotations

from typing import Any

from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._app_servers._reading import (
    DEFAULT,
    UNKNOWN,
    Option,
    Reading,
    absolute,
    defaults,
    endpoint_key,
    number,
    parse_options,
    truth,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._app_servers._start import Start
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._shared import Notes

_UVICORN = (
    Option("host", ("--host",), "127.0.0.1"),
    Option("port", ("--port",), "8000"),
    Option("uds", ("--uds",)),
    Option("fd", ("--fd",)),
    Option("workers", ("--workers",), 1, number),
    Option("timeout_keep_alive", ("--timeout-keep-alive",), 5, number),
    Option("timeout_graceful_shutdown", ("--timeout-graceful-shutdown",), None, number),
    Option("timeout_worker_healthcheck", ("--timeout-worker-healthcheck",), 5, number),
    Option("limit_concurrency", ("--limit-concurrency",), None, number),
    Option("limit_max_requests", ("--limit-max-requests",), None, number),
    Option("backlog", ("--backlog",), 2048, number),
    Option("reload", ("--reload",), False, truth, flag=True),
    Option("certfile", ("--ssl-certfile",)),
)
_WHERE = ("host", "port", "uds", "fd")

_HYPERCORN = (
    Option("bind", ("-b", "--bind")),
    Option("workers", ("-w", "--workers"), 1, number),
    Option("worker_class", ("-k", "--worker-class"), "asyncio"),
    Option("keep_alive", ("--keep-alive",), 5, number),
    Option("graceful_timeout", ("--graceful-timeout",), 3, number),
    Option("backlog", ("--backlog",), 100, number),
    Option("certfile", ("--certfile",)),
    Option("config", ("-c", "--config")),
)
_GRANIAN = (
    Option("host", ("--host",), "127.0.0.1"),
    Option("port", ("--port",), "8000"),
    Option("uds", ("--uds",)),
    Option("workers", ("--workers",), 1, number),
    Option("backlog", ("--backlog",), 1024, number),
    Option("certfile", ("--ssl-certificate",)),
)
_WAITRESS = (
    Option("host", ("--host",), "0.0.0.0"),  # noqa: S104  # waitress's own default
    Option("port", ("--port",), "8080"),
    Option("listen", ("--listen",)),
    Option("uds", ("--unix-socket",)),
    Option("threads", ("--threads",), 4, number),
    Option("backlog", ("--backlog",), 1024, number),
    Option("channel_timeout", ("--channel-timeout",), 120, number),
    Option("connection_limit", ("--connection-limit",), 100, number),
)


def _layers(start: Start, options: tuple[Option, ...], *, variables: str = "") -> Reading:
    """Defaults, variables with that prefix, command line."""
    reading = Reading()
    reading.layer(defaults(options), DEFAULT)
    for option in options if variables else ():
        name = f"{variables}{option.name.upper()}"
        if name in start.environment:
            reading.put(option.name, option.convert(start.environment[name]), name)
    if variables and start.directory is None:
        reading.hide("environment")
    for name, value in parse_options(start.argv[1:], options):
        reading.put(name, value, start.source)
    return reading


def _bind_to_host_and_port(reading: Reading, start: Start) -> None:
    """--uds and --fd over host and port."""
    values: dict[str, Any] = {name: reading.settings.pop(name, None) for name in _WHERE}
    places = {name: reading.settings_from.pop(name, DEFAULT) for name in _WHERE}
    given = [name for name in ("fd", "uds") if values[name] not in (None, UNKNOWN)]
    decided_by = given or ["host", "port"]
    reading.binds_from = next((places[name] for name in decided_by if places[name] != DEFAULT), DEFAULT)
    if "fd" in given or UNKNOWN in (values[name] for name in decided_by):
        reading.binds_known = False
    elif given:
        reading.take([absolute(f"unix:{values['uds']}", start)], default_host="", default_port=0)
    elif str(values["port"]).isdigit() and "$" not in values["host"]:
        reading.binds.append(endpoint_key(values["host"], values["port"]))
    else:
        reading.binds_known = False


def read_uvicorn(start: Start, *, notes: Notes) -> Reading:  # noqa: ARG001  # one signature for all kinds
    """Command line over UVICORN_* variables, and over WEB_CONCURRENCY as far as workers go."""
    reading = _layers(start, _UVICORN, variables="UVICORN_")
    if reading.settings_from["workers"] == DEFAULT and "WEB_CONCURRENCY" in start.environment:
        reading.put("workers", number(start.environment["WEB_CONCURRENCY"]), "WEB_CONCURRENCY")
    reading.same("idle_timeout", "timeout_keep_alive")
    reading.same("concurrency", "limit_concurrency")
    limit, workers = reading.get("limit_concurrency"), reading.get("workers")
    if isinstance(limit, int) and isinstance(workers, int):
        reading.put("concurrency", limit * workers, reading.settings_from["limit_concurrency"])
    reading.put("request_timeout", 0, DEFAULT)
    _bind_to_host_and_port(reading, start)
    return reading


def read_hypercorn(start: Start, *, notes: Notes) -> Reading:
    """As far as the command line says it; a settings file is not read."""
    reading = _layers(start, _HYPERCORN)
    file = reading.settings.pop("config")
    reading.settings_from.pop("config")
    binds = [value for name, value in parse_options(start.argv[1:], _HYPERCORN) if name == "bind"]
    if file:
        notes.miss(f"hypercorn settings {file}", "not read")
        given = {name for name, _value in parse_options(start.argv[1:], _HYPERCORN)}
        reading.layer({name: UNKNOWN for name in reading.settings if name not in given}, str(file))
    reading.settings.pop("bind")
    reading.binds_from = reading.settings_from.pop("bind")
    reading.binds_known = bool(binds) or not file
    if reading.binds_known:
        addresses = [absolute(bind, start) for bind in binds or ["127.0.0.1:8000"]]
        reading.take(addresses, default_host="0.0.0.0", default_port=8000)  # noqa: S104  # its reading of ":8000"
    reading.same("idle_timeout", "keep_alive")
    return reading


def read_granian(start: Start, *, notes: Notes) -> Reading:  # noqa: ARG001
    reading = _layers(start, _GRANIAN, variables="GRANIAN_")
    _bind_to_host_and_port(reading, start)
    return reading


def read_waitress(start: Start, *, notes: Notes) -> Reading:  # noqa: ARG001
    reading = _layers(start, _WAITRESS)
    listens = [value for name, value in parse_options(start.argv[1:], _WAITRESS) if name == "listen"]
    reading.settings.pop("listen")
    source = reading.settings_from.pop("listen")
    _bind_to_host_and_port(reading, start)
    if listens:
        reading.binds, reading.binds_known, reading.binds_from = [], True, source
        reading.take(" ".join(listens).split(), default_host="0.0.0.0", default_port=8080)  # noqa: S104
    reading.put("workers", 1, DEFAULT)
    reading.same("concurrency", "threads")
    reading.same("idle_timeout", "channel_timeout")
    return reading


ASGI_READERS = {
    "uvicorn": read_uvicorn,
    "hypercorn": read_hypercorn,
    "granian": read_granian,
    "waitress": read_waitress,
}
