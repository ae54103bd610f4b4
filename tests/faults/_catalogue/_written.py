# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Causes that no lab can produce: observations written by hand after the sources, not seen on a host.

A container has no SELinux of its own, no connection tracking that it could fill without filling the machine's, and
no memory controller below it through which systemd could learn of a kill.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import Denial, ErrorLogEvent, JournalEvent
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._logs._grammar import classify
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._logs._journal_grammar import told
from ansible_collections.sre.bad_gateway.tests.unit.plugins.plugin_utils._diagnosis import _builders as build

from .._model import Fault, Host, Named

TCP, UNIX = "tcp:127.0.0.1:8000", "unix:/run/shop/shop.sock"
MINUTE = "2026/11/21 03:00"


def written(id_: str, about: str, cause: str, *, never: tuple[str, ...], **parts: Any) -> Fault:
    """A fault of one host, `web`, from an observation with these parts."""
    fault = Fault(id_, about, {"web": Host((), {}, ())}, first=(Named(cause),), never=never)
    record = build.seen(fault.fleet_name("web"), **parts)
    return Fault(id_, about, fault.hosts, first=fault.first, never=never, observations={"web": record.observation})


def nginx_parts(key: str, *, probe: Mapping[str, Any], log: ErrorLogEvent, **unit: Any) -> dict[str, Any]:
    """One nginx, one gunicorn, one route between them; what is given says how the route fails."""
    return {
        "instances": [build.nginx(build.route(key))],
        "apps": [build.app(key)],
        "units": [build.unit(**unit), build.nginx_unit()],
        "probes": [build.probe(key, **probe)],
        "log": [log],
        "socket_files": [] if key == TCP else [build.socket_file(key[5:])],
    }


def event(key: str, level: str, sample: str) -> ErrorLogEvent:
    """What the collector makes of such a line of nginx's error log."""
    kind = classify(sample)
    if kind is None:
        raise ValueError(f"no line of the error log's grammar: {sample}")
    return {
        **build.log_event(key, signature=kind.signature),
        "errno": kind.errno,
        "level": level,
        "sample": sample,
    }


def denial(permission: str, target: str, sample: str) -> Denial:
    return {
        "module": "selinux",
        "process": "nginx",
        "permission": permission,
        "target": target,
        "count": 3,
        "last": "2026/11/21 03:00:09",
        "sample": sample,
    }


def journal(unit: str, *events: JournalEvent) -> dict[str, Any]:
    return {"unit": unit, "available": True, "why": "", "since": None, "lines": 20, "events": list(events), "tail": []}


def journal_event(sample: str) -> JournalEvent:
    """What the collector makes of such a line of the journal."""
    kind = told(sample)
    if kind is None:
        raise ValueError(f"no line of the journal's grammar: {sample}")
    return {
        "signature": kind.signature,
        "count": 2,
        "first": f"{MINUTE}:00",
        "last": f"{MINUTE}:09",
        "details": {},
        "sample": sample,
        "per_minute": {MINUTE: 2},
    }


DENIED = {"outcome": "denied", "errno": 13, "detail": "Permission denied"}
AVC_TCP = (
    'avc:  denied  { name_connect } for  pid=101 comm="nginx" dest=8000 scontext=system_u:system_r:httpd_t:s0'
    " tcontext=system_u:object_r:soundd_port_t:s0 tclass=tcp_socket permissive=0"
)
AVC_UNIX = (
    'avc:  denied  { connectto } for  pid=101 comm="nginx" path="/run/shop/shop.sock"'
    " scontext=system_u:system_r:httpd_t:s0 tcontext=system_u:system_r:unconfined_service_t:s0"
    " tclass=unix_stream_socket permissive=0"
)

FAULTS = (
    written(
        "selinux_tcp",
        "SELinux keeps nginx from connecting to the app's port",
        "selinux_tcp_denied",
        never=("app_not_running", "socket_permission", "firewall_reject"),
        **nginx_parts(
            TCP,
            probe=DENIED,
            log=event(
                TCP,
                "crit",
                "connect() to 127.0.0.1:8000 failed (13: Permission denied) while connecting to upstream",
            ),
        ),
        capacity=build.host_capacity(selinux="enforcing", denials=[denial("name_connect", "8000", AVC_TCP)]),
    ),
    written(
        "selinux_unix",
        "SELinux keeps nginx from connecting to the app's socket",
        "selinux_unix_denied",
        never=("app_not_running", "socket_permission", "socket_missing"),
        **nginx_parts(
            UNIX,
            probe=DENIED,
            log=event(
                UNIX,
                "crit",
                "connect() to unix:/run/shop/shop.sock failed (13: Permission denied) while connecting to upstream",
            ),
        ),
        capacity=build.host_capacity(
            selinux="enforcing", denials=[denial("connectto", "/run/shop/shop.sock", AVC_UNIX)]
        ),
    ),
    written(
        "conntrack_full",
        "the table of tracked connections is full",
        "conntrack_full",
        never=("app_slow", "firewall_drop", "tcp_backlog_overflow", "app_not_running"),
        **nginx_parts(
            TCP,
            probe={"outcome": "timeout", "errno": 110, "detail": "no answer to the connection in 2 s"},
            log=event(
                TCP,
                "error",
                "upstream timed out (110: Connection timed out) while connecting to upstream",
            ),
        ),
        network=build.network(conntrack_count=65536, conntrack_max=65536),
        journals=[journal("kernel", journal_event("nf_conntrack: nf_conntrack: table full, dropping packet"))],
    ),
    written(
        "oom_policy",
        "one worker was out of memory, and systemd stopped the whole unit",
        "unit_killed_by_oom_policy",
        never=("app_not_running", "worker_oom_killed", "wrong_upstream_address"),
        **{
            **nginx_parts(
                TCP,
                probe={"outcome": "refused"},
                log=build.log_event(TCP),
                active_state="failed",
                sub_state="failed",
                result="oom-kill",
                restart="no",
                main_pid=0,
            ),
            "apps": [build.stopped_app(TCP)],
            "listeners": [build.SSHD],
        },
        journals=[
            journal(
                "shop.service",
                journal_event("shop.service: A process of this unit has been killed by the OOM killer."),
            )
        ],
    ),
)
