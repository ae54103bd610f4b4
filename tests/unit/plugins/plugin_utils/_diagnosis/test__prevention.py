# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Risks: each with the setting that brings it about, and with the one that takes it away."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._model import Finding
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._run_directory import HostRecord
from ansible_collections.sre.bad_gateway.tests.unit.plugins.plugin_utils._diagnosis._builders import (
    app,
    capacity,
    endpoint,
    host_capacity,
    network,
    nginx,
    nginx_unit,
    probe,
    route,
    unit,
    upstream,
)
from ansible_collections.sre.bad_gateway.tests.unit.plugins.plugin_utils._diagnosis._scenes import (
    TCP,
    findings,
    named,
    site,
)

OTHER, LOCALHOST = "tcp:127.0.0.1:8001", "tcp:localhost:8000"
KEPT = {"proxy_http_version": [["1.1"]], "proxy_set_header": [["Connection", ""]]}
MIB = 1 << 20


def gunicorn(settings: dict[str, Any], *, chosen: bool = True, **measured: Any) -> Any:
    return app(
        TCP,
        settings=settings,
        settings_from=dict.fromkeys(settings, "ExecStart" if chosen else "default"),
        capacity=capacity(**measured),
    )


def group(*parameters: str, servers: int = 2) -> Any:
    keys = [f"tcp:127.0.0.1:800{number}" for number in range(servers)]
    block = upstream("shop", *keys, parameters=dict.fromkeys(keys, parameters))
    return nginx(route(keys[0], *keys[1:], upstream="shop"), upstreams=[block])


def kept(timeout: str) -> Any:
    block = {**upstream("shop", TCP), "directives": [["keepalive", "8"], ["keepalive_timeout", timeout]]}
    return nginx(route(TCP, upstream="shop"), upstreams=[block], route_settings=[KEPT])  # type: ignore[list-item]


def log(level: str, destination: str = "/var/log/nginx/error.log") -> Any:
    setting = {"destination": destination, "level": level, "file": "/etc/nginx/nginx.conf", "line": 3}
    return nginx(route(), error_logs=[setting])


def at(host: str, *addresses: str) -> HostRecord:
    key = f"tcp:{host}:8000"
    return site(
        instances=[nginx(route(key))],
        apps=[app(TCP)],
        endpoints=[endpoint(key, addresses=addresses)],
        probes=[probe(key)],
    )


def rotation(by: str | None, size: int) -> Any:
    return host_capacity(log_rotation=[{"path": "/srv/logs/error.log", "by": by, "size": size}])


CASES: dict[str, tuple[HostRecord, HostRecord]] = {
    "localhost_target": (at("localhost", "::1", "127.0.0.1"), at("localhost", "127.0.0.1")),
    "max_fails_trap": (site(instances=[group()]), site(instances=[group("max_fails=3")])),
    "keepalive_race": (
        site(instances=[kept("60s")], apps=[gunicorn({"idle_timeout": 5})]),
        site(instances=[kept("4s")], apps=[gunicorn({"idle_timeout": 5})]),
    ),
    "read_timeout_below_app": (
        site(apps=[gunicorn({"request_timeout": 90})]),
        site(apps=[gunicorn({"request_timeout": 30})]),
    ),
    "workers_unfit": (
        site(apps=[gunicorn({"workers": 1}, chosen=False, cpus=2.0)]),
        site(apps=[gunicorn({"workers": 1}, cpus=2.0)]),
    ),
    "backlog_capped": (
        site(apps=[gunicorn({"backlog": 8192})], network=network(sysctls={"net.core.somaxconn": "4096"})),
        site(apps=[gunicorn({"backlog": 2048})], network=network(sysctls={"net.core.somaxconn": "4096"})),
    ),
    "error_log_hides": (site(instances=[log("crit")]), site(instances=[log("error")])),
    "logs_not_rotated": (
        site(capacity=rotation(None, 20 * MIB)),
        site(capacity=rotation("/etc/logrotate.d/nginx", 20 * MIB)),
    ),
    "nginx_not_ordered": (
        site(units=[unit(), nginx_unit(after=[])]),
        site(units=[unit(), nginx_unit(after=["shop.service"])]),
    ),
}


@pytest.mark.parametrize("cause", CASES)
def test_a_risk_is_told_and_is_gone_with_its_prevention(cause: str) -> None:
    risky, prevented = CASES[cause]
    assert named(risky) == [(cause, "web1", "risk")]
    assert named(prevented) == []


@pytest.mark.parametrize("cause", CASES)
def test_nothing_is_done_about_a_risk_unasked(cause: str) -> None:
    (finding,) = findings(CASES[cause][0])
    assert finding.fix is None or not finding.fix.automatic


@pytest.mark.parametrize(
    "record",
    [
        pytest.param(site(instances=[group(servers=1)]), id="one server is never given up"),
        pytest.param(site(instances=[group(servers=4)]), id="of many servers one may go"),
        pytest.param(site(apps=[gunicorn({"workers": 1, "threads": 4}, chosen=False, cpus=2.0)]), id="threads"),
        pytest.param(site(apps=[gunicorn({"workers": 8}, cpus=1.0)]), id="somebody chose it, and it is not absurd"),
        pytest.param(site(apps=[gunicorn({"backlog": 8192}, chosen=False)]), id="gunicorn's own backlog"),
        pytest.param(site(capacity=rotation(None, 1000)), id="a small log"),
        pytest.param(site(units=[unit(triggered_by=["shop.socket"]), nginx_unit(after=[])]), id="its socket is first"),
    ],
)
def test_what_is_no_risk(record: HostRecord) -> None:
    assert named(record) == []


@pytest.mark.parametrize(
    ("workers", "measured", "said"),
    [
        (30, {"cpus": 2.0}, "30 workers for 2 CPUs; the baseline is 5"),
        (4, {"cpus": 2.0, "memory_per_worker": 100 * MIB, "memory_limit": 300 * MIB}, "more than the 300 MiB"),
    ],
)
def test_too_many_workers(workers: int, measured: Any, said: str) -> None:
    (finding,) = findings(site(apps=[gunicorn({"workers": workers}, **measured)]))
    assert said in finding.evidence[0].text


def test_a_race_that_was_seen_is_not_a_risk_as_well() -> None:
    def only(found: tuple[Finding, ...]) -> list[str]:
        return [each.severity for each in found if each.cause == "keepalive_race"]

    line = {
        "signature": "closed_before_header",
        "level": "error",
        "errno": None,
        "upstream": "http://127.0.0.1:8000",
        "endpoint": TCP,
        "server": "shop.example",
        "count": 1,
        "first": "2026/11/21 03:00:00",
        "last": "2026/11/21 03:00:00",
        "sample": "upstream prematurely closed connection",
        "details": {},
        "subrequests": 0,
        "writer_ended": False,
        "per_minute": {"2026/11/21 03:00": 1},
    }
    record = site(instances=[kept("60s")], apps=[gunicorn({"idle_timeout": 5})], log=[line])
    assert only(findings(record)) == ["intermittent"]
