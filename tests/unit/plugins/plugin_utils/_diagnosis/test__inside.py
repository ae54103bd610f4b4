# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What goes wrong inside nginx, each beside the configuration that no longer has it."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import ErrorLogEvent, NginxInstance
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._diagnose import diagnose
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._model import Finding
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._run_directory import HostRecord
from ansible_collections.sre.bad_gateway.tests.unit.plugins.plugin_utils._diagnosis._builders import (
    app,
    fleet,
    log_event,
    message,
    nginx,
    nginx_t,
    nginx_unit,
    probe,
    route,
    unit,
    upstream,
)
from ansible_collections.sre.bad_gateway.tests.unit.plugins.plugin_utils._diagnosis._scenes import TCP, site

OTHER = "tcp:127.0.0.1:8001"
BY_NAME: dict[str, Any] = {"variables": True, "endpoints": [], "target": "http://$backend"}


def line(signature: str, **changes: Any) -> ErrorLogEvent:
    return {**log_event(TCP, signature=signature), "endpoint": None, **changes}  # type: ignore[typeddict-item]


def found(record: HostRecord) -> list[Finding]:
    return [each for each in diagnose(fleet(record)).findings if each.severity != "risk"]


def causes(*lines: ErrorLogEvent, instance: NginxInstance, **changes: Any) -> list[tuple[str, str]]:
    return [(each.cause, each.severity) for each in found(site(instances=[instance], log=lines, **changes))]


def settled(directives: dict[str, Any], **changes: Any) -> NginxInstance:
    return nginx(route(TCP, **changes), route_settings=[directives])


@pytest.mark.parametrize(
    ("told", "having", "not_having", "expected"),
    [
        (
            line("no_resolver"),
            settled({}, **BY_NAME),
            settled({"resolver": [["127.0.0.53"]]}, **BY_NAME),
            ("no_resolver", "outage"),
        ),
        (
            line("resolve_failed"),
            settled({"resolver": [["127.0.0.53"]]}, **BY_NAME),
            settled({}),
            ("resolver_failed", "intermittent"),
        ),
        (line("bad_var_url"), settled({}, **BY_NAME), settled({}), ("bad_variable_url", "outage")),
        (
            line("bind_failed", errno=99),
            settled({"proxy_bind": [["203.0.113.7"]]}),
            settled({}),
            ("proxy_bind_invalid", "outage"),
        ),
        (
            line("tls_verify", endpoint=TCP),
            settled({"proxy_ssl_verify": [["on"]]}),
            settled({"proxy_ssl_verify": [["off"]]}),
            ("tls_verify_failed", "outage"),
        ),
    ],
)
def test_what_nginx_says_counts_while_its_configuration_has_it(
    told: ErrorLogEvent, having: NginxInstance, not_having: NginxInstance, expected: tuple[str, str]
) -> None:
    assert causes(told, instance=having) == [expected]
    assert causes(told, instance=not_having) == []
    assert causes({**told, "server": "other.example"}, instance=having) == []
    assert causes({**told, "last": "2026/11/21 01:00:00"}, instance=having) == []


@pytest.mark.parametrize(
    ("told", "cause"),
    [
        (line("worker_connections", errno=None), "worker_connections_exhausted"),
        (line("socket_failed", errno=24), "nofile_exhausted"),
    ],
)
def test_limits_of_nginx_touch_no_route_in_particular(told: ErrorLogEvent, cause: str) -> None:
    (finding,) = found(site(log=[told]))
    assert (finding.cause, finding.severity, finding.routes) == (cause, "intermittent", ())
    assert any(each.kind == "capacity" for each in finding.evidence)


@pytest.mark.parametrize(
    ("errno", "expected"), [(13, ["temp_path_denied_or_full"]), (28, ["temp_path_denied_or_full"]), (2, [])]
)
def test_temporary_files(errno: int, expected: list[str]) -> None:
    told = line("temp_file", errno=errno, endpoint=TCP)
    assert [cause for cause, _severity in causes(told, instance=nginx(route()))] == expected


def test_connections_that_idle_clients_gave_up_are_no_fault() -> None:
    soft = line("worker_connections", errno=None, count=3, details={"reusing connections": 3})
    assert causes(soft, instance=nginx(route())) == []
    hard = {**soft, "details": {"reusing connections": 2}}
    assert causes(hard, instance=nginx(route())) == [("worker_connections_exhausted", "intermittent")]  # type: ignore[arg-type]


def busy(*minutes: str, failed: str = "") -> dict[str, Any]:
    """An access log with requests in these minutes, and a failed one, if any."""
    event = {"status": 502, "upstream_status": None, "endpoint": None, "last": failed, "per_minute": {failed[:16]: 1}}
    return {
        "path": "/var/log/nginx/access.log",
        "available": True,
        "has_upstream_status": False,
        "per_minute": dict.fromkeys(minutes, 5),
        "events": [event] if failed else [],
    }


@pytest.mark.parametrize(
    ("last", "workers_since", "logs", "severity"),
    [
        pytest.param("02:40:00", "02:50:00", [], "risk", id="nginx read its configuration anew"),
        pytest.param("02:40:00", "02:30:00", [], "outage", id="it did so before"),
        pytest.param("02:40:00", "02:30:00", [busy("2026/11/21 02:55")], "risk", id="all went well since"),
        pytest.param("02:40:00", "02:30:00", [busy("2026/11/21 02:39")], "outage", id="nobody asked since"),
        pytest.param(
            "02:40:00",
            "02:30:00",
            [busy("2026/11/21 02:55", failed="2026/11/21 02:55:10")],
            "outage",
            id="not all went well",
        ),
        pytest.param("02:55:00", "02:30:00", [busy("2026/11/21 02:57")], "outage", id="too short a while"),
    ],
)
def test_what_has_healed_is_a_risk_at_most(last: str, workers_since: str, logs: Any, severity: str) -> None:
    day = "2026/11/21"
    told = line("no_resolver", first=f"{day} {last}", last=f"{day} {last}")
    instance = nginx(route(TCP, **BY_NAME), workers_since=f"{day} {workers_since}")
    (finding,) = [
        each
        for each in diagnose(fleet(site(instances=[instance], log=[told], access_logs=logs))).findings
        if each.cause == "no_resolver"
    ]
    assert finding.severity == severity
    assert any("none since" in each.text for each in finding.evidence) is (severity == "risk")


def test_a_socket_that_fails_for_another_reason_is_not_about_files() -> None:
    assert causes(line("socket_failed", errno=97), instance=nginx(route())) == []


def group(*parameters: str) -> NginxInstance:
    block = upstream("shop", TCP, OTHER, parameters={TCP: parameters, OTHER: parameters})
    return nginx(route(TCP, OTHER, upstream="shop"), upstreams=[block])


def test_no_server_left() -> None:
    told = line("no_live_upstreams", upstream="http://shop")
    assert causes(instance=group("down"), apps=[]) == [("no_live_upstreams", "outage")]
    assert causes(told, instance=group(), apps=[app(TCP), app(OTHER)]) == [("no_live_upstreams", "intermittent")]
    assert causes(instance=group(), apps=[app(TCP), app(OTHER)]) == []


def test_no_server_left_is_a_consequence_of_their_failures() -> None:
    told = line("no_live_upstreams", upstream="http://shop")
    dead = [probe(TCP, "refused"), probe(OTHER, "refused")]
    assert "no_live_upstreams" not in dict(causes(told, instance=group(), apps=[], probes=dead, listeners=[]))


def test_the_app_that_is_asked_for_permission() -> None:
    guarded = route(TCP, settings=1)
    asked = route(OTHER, id="shop.example = /auth", location="= /auth", line=20)
    instance = nginx(guarded, asked, route_settings=[{}, {"auth_request": [["/auth"]]}])
    dead = [probe(TCP), probe(OTHER, "refused")]
    first, *_others = found(site(instances=[instance], probes=dead, apps=[app(TCP)]))
    assert (first.cause, first.severity, len(first.routes)) == ("auth_request_upstream_down", "outage", 2)
    alone = nginx(guarded, asked, route_settings=[{}, {}])
    assert "auth_request_upstream_down" not in dict(causes(instance=alone, probes=dead, apps=[app(TCP)]))


def status(**changes: Any) -> dict[str, Any]:
    values = {
        "status": 502,
        "directive": "return",
        "arguments": ["502"],
        "server_names": ["shop.example"],
        "location": "/",
        "conditional": False,
        "file": "/etc/nginx/sites-enabled/shop",
        "line": 11,
    }
    return {**values, **changes}


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (status(), [("config_produces_502", "outage")]),
        (status(location=""), [("config_produces_502", "outage")]),
        (status(conditional=True), []),
        (status(location="@down"), []),
        (status(status=503), []),
        (status(directive="proxy_cache_valid"), []),
        (status(server_names=["other.example"]), []),
    ],
)
def test_a_return_in_the_routes_own_location(made: Any, expected: list[tuple[str, str]]) -> None:
    assert causes(instance=nginx(route(), statuses=[made])) == expected


def test_a_configuration_that_was_not_taken_up() -> None:
    setting = {"destination": "/var/log/nginx/error.log", "level": "error", "file": "/etc/nginx/nginx.conf", "line": 1}
    old = line("connect_refused", endpoint=OTHER, upstream="http://127.0.0.1:8001")
    stale = nginx(route(), runs_as_configured=False, error_logs=[setting])
    assert causes(old, instance=stale) == [("reload_not_applied", "outage")]
    (finding,) = found(site(instances=[stale], log=[old]))
    assert [each.server_names for each in finding.routes] == [("shop.example",)]
    assert causes(instance=stale) == []
    fresh = nginx(route(), error_logs=[setting])
    assert causes(old, instance=fresh) == []
    refused = nginx(
        route(),
        runs_as_configured=False,
        error_logs=[setting],
        test=nginx_t(message('unknown directive "proxy_pas"')),
    )
    (finding,) = found(site(instances=[refused], log=[old], units=[unit(), nginx_unit()]))
    assert any("refuses what the files hold now" in each.text for each in finding.evidence)
