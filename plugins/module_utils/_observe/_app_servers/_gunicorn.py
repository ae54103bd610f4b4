# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""gunicorn's settings, in its own order of precedence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._app_servers._reading import (
    DEFAULT,
    UNKNOWN,
    Option,
    Reading,
    absolute,
    defaults,
    number,
    parse_options,
    read_text,
    truth,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._app_servers._start import Start
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._shared import Notes
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._systemd_text import split_words

_OPTIONS = (
    Option("bind", ("-b", "--bind")),
    Option("workers", ("-w", "--workers"), 1, number),
    Option("worker_class", ("-k", "--worker-class"), "sync"),
    Option("threads", ("--threads",), 1, number),
    Option("worker_connections", ("--worker-connections",), 1000, number),
    Option("timeout", ("-t", "--timeout"), 30, number),
    Option("graceful_timeout", ("--graceful-timeout",), 30, number),
    Option("keepalive", ("--keep-alive",), 2, number),
    Option("backlog", ("--backlog",), 2048, number),
    Option("max_requests", ("--max-requests",), 0, number),
    Option("max_requests_jitter", ("--max-requests-jitter",), 0, number),
    Option("preload_app", ("--preload",), False, truth, flag=True),
    Option("reuse_port", ("--reuse-port",), False, truth, flag=True),
    Option("worker_tmp_dir", ("--worker-tmp-dir",)),
    Option("umask", ("-m", "--umask"), 0, number),
    Option("user", ("-u", "--user")),
    Option("group", ("-g", "--group")),
    Option("certfile", ("--certfile",)),
    Option("errorlog", ("--error-logfile", "--log-file"), "-"),
    Option("accesslog", ("--access-logfile",)),
    Option("pidfile", ("-p", "--pid")),
    Option("limit_request_line", ("--limit-request-line",), 4094, number),
    Option("limit_request_fields", ("--limit-request-fields",), 100, number),
    Option("limit_request_field_size", ("--limit-request-field_size", "--limit-request-field-size"), 8190, number),
    Option("forwarded_allow_ips", ("--forwarded-allow-ips",), "127.0.0.1,::1"),
    Option("chdir", ("--chdir",)),
)
_NOT_SETTINGS = (Option("config", ("-c", "--config")), Option("paste", ("--paste", "--paster")))
_NUMBERS = frozenset(option.name for option in _OPTIONS if option.convert is number)
_NAMES = tuple(option.name for option in _OPTIONS)
_FILE = "gunicorn.conf.py"
_WHAT = "gunicorn settings"
#: What these variables hold takes the place of a default.
_VARIABLES = {"WEB_CONCURRENCY": "workers", "FORWARDED_ALLOW_IPS": "forwarded_allow_ips"}
#: Workers that serve one request at a time, and close the connection after it.
_ONE_AT_A_TIME = ("sync", "gunicorn.workers.sync.SyncWorker")


def _folded(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The last of each setting; every bind of one layer counts."""
    values: dict[str, Any] = {}
    for name, value in pairs:
        values[name] = [*values.get(name, []), value] if name == "bind" else value
    return values


def _from_environment(reading: Reading, start: Start) -> None:
    for variable, name in _VARIABLES.items():
        if variable in start.environment:
            value = start.environment[variable]
            reading.put(name, number(value) if name in _NUMBERS else value, variable)
    if start.environment.get("PORT"):
        reading.put("bind", [f"0.0.0.0:{start.environment['PORT']}"], "PORT")
    if start.directory is None:
        reading.hide("environment")


def _from_paste(reading: Reading, start: Start, name: str, *, notes: Notes) -> None:
    import configparser

    path = start.path(name)
    text = read_text(path, what=_WHAT, notes=notes)
    parser = configparser.RawConfigParser()
    try:
        parser.read_string(text or "")
    except configparser.Error as error:
        notes.miss(f"{_WHAT} {path}", error.message.splitlines()[0])
        text = None
    if text is None:
        reading.hide(str(path or name))
        return
    section = parser["server:main"] if parser.has_section("server:main") else {}
    values: dict[str, Any] = {name: value for name, value in section.items() if name in _NAMES}
    if "host" in section or "port" in section:
        values["bind"] = [f"{section.get('host', '')}:{section.get('port', '8000')}"]
    reading.layer({name: number(value) if name in _NUMBERS else value for name, value in values.items()}, str(path))


def _file(start: Start, named: str | None) -> Path | None:
    """The settings file; None when it cannot be told which. An unnamed ./gunicorn.conf.py is read silently."""
    text = named or f"./{_FILE}"
    if text.startswith("python:"):
        return None
    return start.path(text[len("file:") :] if text.startswith("file:") else text)


def _from_file(reading: Reading, start: Start, named: str | None, *, notes: Notes) -> None:
    path = _file(start, named)
    if path is None and not named:
        reading.hide(_FILE)  # that the directory is not known is said already
        return
    text = read_text(path, what=_WHAT, notes=notes, required=named is not None)
    if text is None:
        reading.hide(str(path or named))
        return
    from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._app_servers._python_file import (
        read_python_values,
    )

    try:
        values, more = read_python_values(text, _NAMES, environment=start.environment, file=str(path))
    except ValueError as error:
        notes.miss(f"{_WHAT} {path}", error)
        reading.hide(str(path))
        return
    if more:
        notes.miss(f"{_WHAT} {path}", "it takes all names of another module")
        reading.hide(str(path))
    reading.layer(values, str(path))


def _concurrency(reading: Reading) -> Any:
    """Requests at once, by all workers together."""
    workers, threads, worker_class = (reading.get(name) for name in ("workers", "threads", "worker_class"))
    if not isinstance(workers, int) or not isinstance(worker_class, str):
        return UNKNOWN
    if worker_class in _ONE_AT_A_TIME:
        return workers
    if worker_class == "gthread":
        return workers * threads if isinstance(threads, int) else UNKNOWN
    connections = reading.get("worker_connections")
    return workers * connections if isinstance(connections, int) else UNKNOWN


def _common(reading: Reading) -> None:
    if reading.get("worker_class") in _ONE_AT_A_TIME and (reading.get("threads") or 1) > 1:
        reading.put("worker_class", "gthread", reading.settings_from["threads"])
    if reading.get("worker_class") in _ONE_AT_A_TIME:
        reading.put("idle_timeout", 0, reading.settings_from["worker_class"])
    else:
        reading.same("idle_timeout", "keepalive")  # uvicorn's worker class takes it over too
        if reading.settings["worker_class"] is UNKNOWN:
            reading.put("idle_timeout", UNKNOWN, reading.settings_from["worker_class"])
    reading.same("request_timeout", "timeout")
    reading.put("concurrency", _concurrency(reading), reading.settings_from["workers"])


def _bind(reading: Reading, start: Start) -> None:
    bind, reading.binds_from = reading.settings.pop("bind"), reading.settings_from.pop("bind")
    if bind is UNKNOWN:
        reading.binds_known = False
        return
    addresses = bind.split(",") if isinstance(bind, str) else [part for one in bind for part in str(one).split(",")]
    beside = start
    directory = reading.settings.pop("chdir")
    reading.settings_from.pop("chdir")
    if isinstance(directory, str):
        beside = Start(argv=(), environment={}, directory=start.path(directory), source="")
    reading.take(
        [absolute(address.strip(), beside) for address in addresses],
        default_host="0.0.0.0",  # noqa: S104  # gunicorn's own reading of ":8000"
        default_port=8000,
    )


def read_gunicorn(start: Start, *, notes: Notes) -> Reading:
    """Low to high: defaults, a few variables, Paste, settings file, GUNICORN_CMD_ARGS, command line."""
    options = (*_OPTIONS, *_NOT_SETTINGS)
    from_variable = _folded(parse_options(split_words(start.environment.get("GUNICORN_CMD_ARGS", "")), options))
    from_command = _folded(parse_options(start.argv[1:], options))
    reading = Reading()
    reading.layer({**defaults(_OPTIONS), "bind": ["127.0.0.1:8000"]}, DEFAULT)
    _from_environment(reading, start)
    paste = from_command.get("paste") or from_variable.get("paste")
    if paste:
        _from_paste(reading, start, paste, notes=notes)
    _from_file(reading, start, from_command.get("config") or from_variable.get("config"), notes=notes)
    for values, source in ((from_variable, "GUNICORN_CMD_ARGS"), (from_command, start.source)):
        reading.layer({name: value for name, value in values.items() if name in _NAMES}, source)
    _common(reading)
    _bind(reading, start)
    return reading
