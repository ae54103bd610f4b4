# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Endpoints that answer now, and whose nginx complained a while ago. It is 2026/11/21 03:00:10 on every host."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import ErrorLogEvent
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._run_directory import HostRecord
from ansible_collections.sre.bad_gateway.tests.unit.plugins.plugin_utils._diagnosis._builders import (
    app,
    endpoint,
    log_event,
    network,
    nginx,
    nginx_unit,
    probe,
    route,
    unit,
)
from ansible_collections.sre.bad_gateway.tests.unit.plugins.plugin_utils._diagnosis._scenes import (
    REMOTE,
    SOCKET,
    TCP,
    back,
    findings,
    front,
    journal,
    named,
    only,
    said,
    shown,
    site,
)

OVERFLOWED = network(listen_overflows=40)
STARTED = "Sat 2026-11-21 03:00:09 UTC"
LONG_AGO = "2026/11/21 01:00:00"


def line(signature: str, key: str = TCP, **changes: Any) -> ErrorLogEvent:
    return {**log_event(key, signature=signature), **changes}  # type: ignore[typeddict-item]


def complained(*events: ErrorLogEvent, started: str = "", key: str = TCP, **changes: Any) -> HostRecord:
    values: dict[str, Any] = {"units": [unit(active_since=started), nginx_unit()], "log": list(events)}
    return site(key, **{**values, **changes})


def dying(*events: ErrorLogEvent, raw: dict[str, str] | None = None, **changes: Any) -> HostRecord:
    shop = unit(restarts=4, active_since="Sat 2026-11-21 02:50:00 UTC", raw=raw or {})
    return complained(*events, units=[shop, nginx_unit()], **changes)


def starts(count: int) -> dict[str, Any]:
    return {"journals": [journal(said("systemd_started", count=count))]}


KERNEL = journal(said("conntrack_table_full"), unit="kernel")
AGAIN: dict[str, Any] = {"journals": [journal(said("systemd_scheduled_restart", count=4))]}
KILLED: dict[str, Any] = {"journals": [journal(said("systemd_oom_kill", count=1))]}
NO_IPV6 = network(sysctls={"net.ipv6.conf.all.disable_ipv6": "1"})
BACKEND = "tcp:backend:8000"


def at_backend(*events: ErrorLogEvent, **changes: Any) -> HostRecord:
    values: dict[str, Any] = {
        "instances": [nginx(route(BACKEND))],
        "apps": [app(TCP)],
        "endpoints": [endpoint(BACKEND, addresses=["::1", "127.0.0.1"])],
        "probes": [probe(BACKEND, "error", address="[::1]:8000"), probe(BACKEND)],
    }
    return complained(*events, **{**values, **changes})


NAMED: dict[str, tuple[list[HostRecord], tuple[str, str, str]]] = {
    "the unix queue was full": (
        [complained(line("connect_eagain_unix", SOCKET), key=SOCKET)],
        ("unix_backlog_full", "web1", "intermittent"),
    ),
    "the TCP queue was full": (
        [complained(line("timeout_connect"), network=OVERFLOWED)],
        ("tcp_backlog_overflow", "web1", "intermittent"),
    ),
    "the TCP queue of another host was full": (
        [front("answered", log=[line("timeout_connect", "tcp:10.0.0.2:8000")]), back(network=OVERFLOWED)],
        ("tcp_backlog_overflow", "app1", "intermittent"),
    ),
    "the table of connections was full": (
        [complained(line("timeout_connect"), network=OVERFLOWED, journals=[KERNEL])],
        ("conntrack_full", "web1", "intermittent"),
    ),
    "no port was left": (
        [complained(line("connect_eaddrnotavail"))],
        ("ephemeral_ports_exhausted", "web1", "intermittent"),
    ),
    "one of two addresses is IPv6 where there is none": (
        [at_backend(line("connect_eaddrnotavail", "tcp:[::1]:8000"), network=NO_IPV6)],
        ("ipv6_unavailable", "web1", "intermittent"),
    ),
    "it dies and is revived": (
        [dying(line("connect_refused"), **AGAIN)],
        ("app_crash_loop", "web1", "intermittent"),
    ),
    "it dies under requests": (
        [dying(line("closed_before_header"), **AGAIN)],
        ("app_crash_loop", "web1", "intermittent"),
    ),
    "it was killed for memory and revived": (
        [dying(line("connect_refused"), **KILLED)],
        ("unit_killed_by_oom_policy", "web1", "intermittent"),
    ),
    "it was restarted again and again, its socket went away each time": (
        [complained(line("connect_enoent", SOCKET), started=STARTED, key=SOCKET, **starts(4))],
        ("restart_window", "web1", "intermittent"),
    ),
    "it was restarted again and again": (
        [complained(line("connect_refused"), started=STARTED, **starts(4))],
        ("restart_window", "web1", "intermittent"),
    ),
}


@pytest.mark.parametrize(("records", "expected"), NAMED.values(), ids=NAMED)
def test_what_it_was(records: list[HostRecord], expected: tuple[str, str, str]) -> None:
    finding = only(*records)
    assert (finding.cause, finding.host, finding.severity) == expected
    assert finding.fix is None or not finding.fix.automatic
    assert any(each.kind == "error_log" for each in finding.evidence)


SILENT: dict[str, list[HostRecord]] = {
    "refused once, nobody knows why": [complained(line("connect_refused"))],
    "it was restarted once, as who mends it does": [complained(line("connect_refused"), started=STARTED, **starts(1))],
    "it died again and again until it was mended": [
        complained(
            line("connect_refused"),
            started=STARTED,
            journals=[journal(said("systemd_started", count=5), said("systemd_scheduled_restart", count=4))],
        )
    ],
    "refused long before the start": [complained(line("connect_refused", last="2026/11/21 02:50:00"), started=STARTED)],
    "refused after the start": [complained(line("connect_refused"), started="Sat 2026-11-21 02:50:00 UTC")],
    "it was down for an hour": [
        complained(
            line("connect_refused", per_minute={f"2026/11/21 02:{minute:02}": 1 for minute in range(20, 60)}),
            started=STARTED,
        )
    ],
    "a full queue of long ago": [complained(line("connect_eagain_unix", SOCKET, last=LONG_AGO), key=SOCKET)],
    "a full queue, before the app was started anew": [
        complained(line("connect_eagain_unix", SOCKET), key=SOCKET, started="Sat 2026-11-21 03:00:10 UTC")
    ],
    "a timeout without overflows": [complained(line("timeout_connect"))],
    "overflows without a timeout": [complained(network=OVERFLOWED)],
    "revived once": [dying(line("connect_refused"), journals=[journal(said("systemd_scheduled_restart", count=1))])],
    "revived yesterday": [
        dying(line("connect_refused"), journals=[journal(said("systemd_scheduled_restart", last=LONG_AGO))])
    ],
    "revived, and nginx never noticed": [dying(**AGAIN)],
    "one worker was killed, the rest went on": [
        dying(line("closed_before_header"), raw={"OOMPolicy": "continue"}, **KILLED)
    ],
    "an address that IPv6 could reach": [at_backend(line("connect_unreach", "tcp:127.0.0.1:8000"), network=NO_IPV6)],
    "lines about an endpoint that no route uses": [complained(line("connect_eaddrnotavail", "tcp:127.0.0.1:8001"))],
}


@pytest.mark.parametrize("records", SILENT.values(), ids=SILENT)
def test_what_nobody_is_called_for(records: list[HostRecord]) -> None:
    assert named(*records) == []


def test_what_fails_now_is_not_told_twice() -> None:
    record = complained(line("connect_eagain_unix", SOCKET), key=SOCKET, probes=[probe(SOCKET, "queue_full", errno=11)])
    assert named(record) == [("unix_backlog_full", "web1", "outage")]


def test_a_start_in_time_is_shown_with_the_lines_before_it() -> None:
    finding = only(complained(line("connect_refused"), started=STARTED, **starts(4)))
    assert f"shop.service was started at {STARTED}, 4 times within the last hour" in shown(finding)
    assert "3 x connect_refused, from 2026/11/21 03:00:00 to 2026/11/21 03:00:09" in shown(finding)


def test_restarts_hide_no_other_advice() -> None:
    shop = unit(active_since=STARTED, restart="no")
    record = complained(line("connect_refused"), units=[shop, nginx_unit()], **starts(4))
    assert [each.cause for each in findings(record)] == ["restart_window", "app_not_supervised"]


def test_one_dying_app_is_one_finding_for_all_its_routes() -> None:
    routes = [route(), route(REMOTE, location="/b", line=20)]
    record = dying(
        line("connect_refused"),
        line("connect_refused", "tcp:127.0.0.2:8000"),
        instances=[nginx(*routes)],
        apps=[app(TCP, binds=["tcp:0.0.0.0:8000"], listens=["tcp:0.0.0.0:8000"])],
        endpoints=[endpoint(REMOTE, addresses=["127.0.0.2"])],
        probes=[probe(TCP), probe(REMOTE)],
        **AGAIN,
    )
    assert [each.location for each in only(record).routes] == ["/", "/b"]
