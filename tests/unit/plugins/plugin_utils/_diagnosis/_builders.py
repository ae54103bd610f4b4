# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Small hosts to diagnose: everything that a test does not name is healthy."""

from __future__ import annotations

from typing import Any, Mapping, Sequence

from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import (
    AppCapacity,
    AppServer,
    Capacity,
    ConfigMessage,
    ConfigTest,
    Endpoint,
    ErrorLogEvent,
    Listener,
    Network,
    NginxInstance,
    Observation,
    Probe,
    Route,
    SocketFile,
    Unit,
    Upstream,
)
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._run_directory import HostRecord

APP_UNITS = tuple(f"{name}.service" for name in ("shop", "blog", "api", "docs", "app", "puma", "php8.2-fpm", "0", "1"))
ERRNO = {"refused": 111, "missing": 2, "denied": 13, "reset": 104, "unreachable": 113}


def route(key: str = "tcp:127.0.0.1:8000", *more: str, location: str = "/", line: int = 12, **changes: Any) -> Route:
    values: dict[str, Any] = {
        "id": f"shop.example {location}",
        "server_names": ["shop.example"],
        "listen": ["80"],
        "location": location,
        "directive": "proxy_pass",
        "target": f"http://{key.split(':', 1)[1]}" if key.startswith("tcp:") else f"http://{key}:",
        "upstream": None,
        "endpoints": [key, *more],
        "variables": False,
        "chosen": False,
        "settings": 0,
        "file": "/etc/nginx/sites-enabled/shop",
        "line": line,
    }
    return Route(**{**values, **changes})  # type: ignore[typeddict-item]


def upstream(name: str, *keys: str, parameters: Mapping[str, Sequence[str]] | None = None) -> Upstream:
    return {
        "name": name,
        "servers": [
            {
                "address": key.split(":", 1)[1],
                "endpoint": key,
                "parameters": list((parameters or {}).get(key, [])),
                "line": number,
                "file": "/etc/nginx/upstreams.conf",
            }
            for number, key in enumerate(keys, start=2)
        ],
        "directives": [],
        "file": "/etc/nginx/upstreams.conf",
        "line": 1,
    }


def message(text: str, *, level: str = "emerg", line: int = 7) -> ConfigMessage:
    return {"level": level, "message": text, "file": "/etc/nginx/sites-enabled/shop", "line": line}


def nginx_t(*messages: ConfigMessage) -> ConfigTest:
    return {"ran": True, "ok": not messages, "why": "", "messages": list(messages)}


def nginx(*routes: Route, upstreams: Sequence[Upstream] = (), **changes: Any) -> NginxInstance:
    values: dict[str, Any] = {
        "id": "nginx",
        "running": True,
        "pid": 100,
        "binary": "/usr/sbin/nginx",
        "version": "1.22.1",
        "flavour": "nginx",
        "config": "/etc/nginx/nginx.conf",
        "prefix": "/usr/share/nginx",
        "user": "www-data",
        "unit": "nginx.service",
        "config_readable": True,
        "config_errors": [],
        "test": nginx_t(),
        "files": ["/etc/nginx/nginx.conf", "/etc/nginx/sites-enabled/shop"],
        "routes": list(routes),
        "upstreams": list(upstreams),
        "error_logs": [],
        "access_logs": [],
        "settings": {},
        "route_settings": [{}],
        "statuses": [],
        "open_files_limit": None,
        "open_files": None,
        "workers_since": "",
        "runs_as_configured": True,
    }
    return NginxInstance(**{**values, **changes})  # type: ignore[typeddict-item]


def unit(name: str = "shop.service", **changes: Any) -> Unit:
    values: dict[str, Any] = {
        "name": name,
        "load_state": "loaded",
        "active_state": "active",
        "sub_state": "running",
        "unit_file_state": "enabled",
        "result": "success",
        "restart": "always",
        "restarts": 0,
        "main_pid": 200,
        "exit_code": 0,
        "active_since": "",
        "exec_start": [],
        "environment": {},
        "working_directory": "",
        "user": "",
        "after": [],
        "requires": [],
        "wants": [],
        "triggered_by": [],
        "fragment": f"/etc/systemd/system/{name}",
        "drop_ins": [],
        "unrevived_by": "",
        "need_daemon_reload": False,
        "raw": {},
    }
    return Unit(**{**values, **changes})  # type: ignore[typeddict-item]


def stopped(name: str = "shop.service", **changes: Any) -> Unit:
    return unit(name, **{"active_state": "inactive", "sub_state": "dead", "main_pid": 0, **changes})


def nginx_unit(name: str = "nginx.service", **changes: Any) -> Unit:
    """As Debian ships it, without Restart=, which is no app server's business; ordered after every usual app."""
    return unit(name, **{"restart": "no", "after": list(APP_UNITS), **changes})


def app(key: str | None = "tcp:127.0.0.1:8000", *, unit: str | None = "shop.service", **changes: Any) -> AppServer:
    keys = [] if key is None else [key]
    values: dict[str, Any] = {
        "kind": "gunicorn",
        "unit": unit,
        "pids": [200],
        "running_since": "",
        "binds": keys,
        "binds_known": key is not None,
        "binds_from": "ExecStart",
        "listens": keys,
        "settings": {},
        "settings_from": {},
        "settings_known": key is not None,
        "version": "",
        "capacity": capacity(),
    }
    return AppServer(**{**values, **changes})  # type: ignore[typeddict-item]


def capacity(**changes: Any) -> AppCapacity:
    """Nothing was measured but what a test names."""
    return AppCapacity(**{**dict.fromkeys(AppCapacity.__annotations__), **changes})  # type: ignore[typeddict-item]


def stopped_app(key: str | None = "tcp:127.0.0.1:8000", **changes: Any) -> AppServer:
    return app(key, **{"pids": [], "listens": [], **changes})


def probe(key: str, outcome: str = "answered", **changes: Any) -> Probe:
    values: dict[str, Any] = {
        "endpoint": key,
        "protocol": "http",
        "address": key.removeprefix("tcp:"),
        "outcome": outcome,
        "phase": "read" if outcome == "answered" else "connect",
        "errno": ERRNO.get(outcome),
        "detail": "HTTP/1.1 200 OK" if outcome == "answered" else outcome.capitalize(),
        "status": 200 if outcome == "answered" else None,
        "speaks": None,
        "instance": "nginx",
        "user": "www-data",
        "as_nginx": True,
        "milliseconds": 1,
    }
    return Probe(**{**values, **changes})  # type: ignore[typeddict-item]


def endpoint(key: str, *, addresses: Sequence[str] | None = None, **changes: Any) -> Endpoint:
    is_tcp = key.startswith("tcp:")
    host, port = key[4:].rsplit(":", 1) if is_tcp else (None, None)
    bare = host.strip("[]") if host else None
    values: dict[str, Any] = {
        "key": key,
        "transport": "tcp" if is_tcp else "unix",
        "host": bare,
        "port": int(port) if port else None,
        "path": None if is_tcp else key[5:],
        "protocol": "http",
        "addresses": list(addresses) if addresses is not None else ([bare] if bare else []),
        "resolve_error": None,
        "written_at": [],
    }
    return Endpoint(**{**values, **changes})  # type: ignore[typeddict-item]


def listener(key: str, *, unit: str | None = "shop.service", **changes: Any) -> Listener:
    is_tcp = key.startswith("tcp:")
    address, port = key[4:].rsplit(":", 1) if is_tcp else (key[5:], None)
    values: dict[str, Any] = {
        "transport": "tcp" if is_tcp else "unix",
        "address": address.strip("[]"),
        "port": int(port) if port else None,
        "inode": 1,
        "pid": 200,
        "process": "gunicorn",
        "unit": unit,
        "backlog": 2048,
        "queued": 0,
        "network_namespace": "",
        "file_exists": None if is_tcp else True,
        "file_is_this_socket": None if is_tcp else True,
        "file_mode": None,
        "file_owner": None,
    }
    return Listener(**{**values, **changes})  # type: ignore[typeddict-item]


def socket_file(path: str, *, exists: bool = True, listening: bool = True) -> SocketFile:
    return {
        "path": path,
        "exists": exists,
        "is_socket": exists,
        "listening": listening,
        "mode": None,
        "owner": None,
        "missing_parent": None,
        "denied_at": None,
        "seen_by": [],
    }


def log_event(key: str, *, signature: str = "connect_refused", count: int = 3) -> ErrorLogEvent:
    return {
        "signature": signature,
        "level": "error",
        "errno": 111,
        "upstream": None,
        "endpoint": key,
        "server": "shop.example",
        "count": count,
        "first": "2026/11/21 03:00:00",
        "last": "2026/11/21 03:00:09",
        "sample": "connect() failed (111: Connection refused) while connecting to upstream",
        "details": {},
        "subrequests": 0,
        "writer_ended": False,
        "per_minute": {"2026/11/21 03:00": count},
    }


def network(**changes: Any) -> Network:
    """A network without filters, whose tables are nowhere near full."""
    values: dict[str, Any] = {
        "filters": [],
        "paths": [],
        "connections": [],
        "sysctls": {"net.core.somaxconn": "4096"},
        "listen_overflows": 0,
        "listen_overflows_while_looking": 0,
        "conntrack_count": None,
        "conntrack_max": None,
    }
    return Network(**{**values, **changes})  # type: ignore[typeddict-item]


def host_capacity(**changes: Any) -> Capacity:
    """A host with room."""
    values: dict[str, Any] = {
        "cpus": 2,
        "memory": 4 << 30,
        "memory_available": 2 << 30,
        "filesystems": [],
        "log_rotation": [],
        "selinux": "absent",
        "apparmor": "absent",
        "denials": [],
    }
    return Capacity(**{**values, **changes})  # type: ignore[typeddict-item]


SSHD = listener("tcp:0.0.0.0:22", unit="ssh.service")


def seen(
    host: str,
    *,
    addresses: Sequence[str] = (),
    instances: Sequence[NginxInstance] = (),
    apps: Sequence[AppServer] = (),
    units: Sequence[Unit] = (),
    probes: Sequence[Probe] | None = None,
    endpoints: Sequence[Endpoint] = (),
    listeners: Sequence[Listener] | None = None,
    log: Sequence[ErrorLogEvent] = (),
    **changes: Any,
) -> HostRecord:
    """A host. Its endpoints are those of its routes, its listeners those of its apps; every endpoint answers."""
    keys = list(
        dict.fromkeys(key for each in instances for each_route in each["routes"] for key in each_route["endpoints"])
    )
    served = [key for each in apps for key in each["listens"]]
    given = {each["key"] for each in endpoints}
    values: dict[str, Any] = {
        "schema": 1,
        "collection_version": "0.1.0",
        "observed_at": "2026-11-21T03:00:10Z",
        "seconds": 0.1,
        "host": {
            "hostname": host,
            "addresses": ["127.0.0.1", "::1", *addresses],
            "boot_id": f"boot-of-{host}",
            "network_namespace": "net:[1]",
            "local_time": "2026/11/21 03:00:10",
            "python": "3.11.2",
            "uid": 0,
            "systemd": True,
        },
        "nginx": list(instances),
        "endpoints": [*endpoints, *(endpoint(key) for key in keys if key not in given)],
        "listeners": [SSHD, *(listener(key, unit=each["unit"]) for each in apps for key in each["listens"])]
        if listeners is None
        else list(listeners),
        "socket_files": [],
        "units": list(units),
        "app_servers": list(apps),
        "probes": [probe(key) for key in dict.fromkeys([*keys, *served])] if probes is None else list(probes),
        "error_logs": [
            {
                "path": "/var/log/nginx/error.log",
                "level": "error",
                "available": True,
                "why": "",
                "size": 100,
                "bytes_read": 100,
                "files_read": ["/var/log/nginx/error.log"],
                "whole": True,
                "since": None,
                "lines": 1,
                "unclassified": 0,
                "events": list(log),
            }
        ],
        "access_logs": [],
        "journals": [],
        "network": network(),
        "capacity": host_capacity(),
        "missed": [],
    }
    values["host"] = {**values["host"], **changes.pop("info", {})}
    observation = Observation(**{**values, **changes})  # type: ignore[typeddict-item]
    return HostRecord(host=host, status="ok", reason="", observation=observation)


def unreachable(host: str, reason: str = "ssh: connect to host: timed out") -> HostRecord:
    return HostRecord(host=host, status="unreachable", reason=reason, observation=None)


def fleet(*records: HostRecord) -> dict[str, HostRecord]:
    return {record.host: record for record in records}
