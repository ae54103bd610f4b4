# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every nginx of this host, with all that its configuration says."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

from ansible_collections.sre.bad_gateway.plugins.module_utils._nginx import (
    _config,
    _logs,
    _routes,
    _settings,
    _statuses,
    _variables,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._nginx._lexer import shown as printable
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe import _instances
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._probe_child import Viewpoint
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._processes import ProcessTable, namespace_of
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._redact import HIDDEN, is_secret_name, redact
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._shared import Notes, local_time
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._units import Units

if TYPE_CHECKING:
    from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import (
        ConfigTest,
        Endpoint,
        NginxInstance,
        Settings,
    )


class Nginx(NamedTuple):
    """An instance with all that its configuration says."""

    found: _instances.Instance
    shown: NginxInstance
    endpoints: list[Endpoint]


def read_nginxes(*, table: ProcessTable, units: Units, config: str | None, notes: Notes) -> list[Nginx]:
    """Those that run, or that a unit starts; only the one with that main file when `config` names one."""
    found = _instances.find_instances(table=table, units=units, config=config, notes=notes)
    with ThreadPoolExecutor(1) as pool:  # nginx reads its files while we do
        tests = [pool.submit(_instances.check_config, instance) for instance in found]
        nginxes = [_read_instance(instance, test, several=len(found) > 1) for instance, test in zip(found, tests)]
    for shown in (nginx.shown for nginx in nginxes):
        if not shown["test"]["ran"]:
            notes.miss(f"nginx -t of {shown['config']}", shown["test"]["why"])
        _say_unread_listeners(shown, notes=notes)
    return nginxes


def viewpoint(nginx: Nginx) -> Viewpoint:
    """As whom it connects, and where."""
    credentials = nginx.found.credentials
    if credentials is None and nginx.shown["user"]:
        credentials = _instances.user_credentials(nginx.shown["user"])
    return Viewpoint(instance=nginx.shown["id"], pid=nginx.found.pid, credentials=credentials)


def worker_uids(nginxes: Iterable[Nginx]) -> list[int]:
    credentials = [viewpoint(nginx).credentials for nginx in nginxes]
    return sorted({one.uid for one in credentials if one})


def units_by_log(nginxes: Iterable[Nginx]) -> dict[str, list[str]]:
    """The units that log errors to a destination."""
    found: dict[str, list[str]] = {}
    for nginx in nginxes:
        for destination in {setting["destination"] for setting in nginx.shown["error_logs"]}:
            if nginx.shown["unit"]:
                found.setdefault(destination, []).append(nginx.shown["unit"])
    return found


def _instance_id(instance: _instances.Instance, *, several: bool) -> str:
    return f"nginx@{instance.config}" if several else "nginx"


def _without_secrets(settings: Settings) -> Settings:
    """Headers that nginx sends to upstreams can hold credentials, and so can keys."""
    return {name: [_shown_setting(name, words) for words in each] for name, each in settings.items()}


def _shown_setting(name: str, words: Sequence[str]) -> list[str]:
    if name.endswith("_set_header") and len(words) > 1 and is_secret_name(words[0]) and not words[1].startswith("$"):
        return [words[0], HIDDEN]
    if name.endswith("_certificate_key") and any(word.startswith("data:") for word in words):
        return [HIDDEN]  # the key itself instead of a path
    return [redact(word) for word in words]


def _read_instance(instance: _instances.Instance, test: Future[ConfigTest], *, several: bool) -> Nginx:
    config = _config.read_config(instance.config, prefix=instance.prefix)
    log = instance.command.error_log or instance.build.error_log
    user = instance.credentials.name if instance.credentials else _routes.worker_user(config) or instance.build.user
    passes = _variables.with_choices(config, _routes.passes(config))
    routes, (settings, numbers) = _routes.routes(passes), _settings.route_settings(passes)
    for route, number in zip(routes, numbers):
        route["settings"] = number
    shown: NginxInstance = {
        "id": _instance_id(instance, several=several),
        "running": instance.pid is not None,
        "pid": instance.pid,
        "binary": instance.command.binary,
        "version": instance.build.version,
        "flavour": instance.build.flavour,
        "config": config.main,
        "prefix": instance.prefix,
        "user": user,
        "unit": instance.unit,
        "config_readable": config.whole,
        "config_errors": list(config.messages),
        "test": test.result(),
        "files": [printable(file) for file in config.files],
        "routes": routes,
        "upstreams": _routes.upstreams(config),
        "error_logs": _logs.error_logs(config, default=log),
        "access_logs": _logs.access_logs(config, default=instance.build.access_log),
        "settings": _settings.nginx_settings(config),
        "route_settings": [_without_secrets(each) for each in settings],
        "statuses": _statuses.config_statuses(config),
        "open_files_limit": instance.open_files_limit,
        "open_files": instance.open_files,
        "workers_since": "" if instance.workers_since is None else local_time(instance.workers_since),
        "runs_as_configured": _instances.runs_as_configured(instance, config.files),
    }
    return Nginx(found=instance, shown=shown, endpoints=_routes.endpoints(passes))


def _say_unread_listeners(nginx: NginxInstance, *, notes: Notes) -> None:
    """Listeners are read from our own network namespace; an nginx in another one meets others."""
    if nginx["pid"] is None:
        return
    with contextlib.suppress(OSError):  # that it may not be seen is said with the probes
        if namespace_of(nginx["pid"], "net") != namespace_of("self", "net"):
            notes.miss(
                f"listening sockets in the network namespace of {nginx['id']}", "only this process's own is read"
            )
