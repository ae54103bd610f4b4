# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The right port at an address that nginx does not ask."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.sre.bad_gateway.plugins.plugin_utils._run_directory import HostRecord
from ansible_collections.sre.bad_gateway.tests.unit.plugins.plugin_utils._diagnosis._builders import (
    SSHD,
    app,
    listener,
    nginx,
    nginx_unit,
    probe,
    route,
    unit,
)
from ansible_collections.sre.bad_gateway.tests.unit.plugins.plugin_utils._diagnosis._scenes import (
    TCP,
    back,
    findings,
    front,
    named,
    only,
    shown,
    site,
)

SIX = "tcp:[::1]:8000"
INNER = "tcp:10.0.0.1:8000"


def elsewhere(listening: str, *, asked: str = TCP, answers: bool = True, **changes: Any) -> HostRecord:
    """nginx asks one address, the app listens on another."""
    values: dict[str, Any] = {
        "addresses": ["10.0.0.1"],
        "instances": [nginx(route(asked))],
        "apps": [app(listening)],
        "probes": [probe(asked, "refused"), *([probe(listening)] if answers else [])],
    }
    return site(**{**values, **changes})


CASES: dict[str, tuple[HostRecord, str, str | None]] = {
    # -- the host; the cause; where nginx is sent unasked
    "IPv6 alone": (elsewhere(SIX), "loopback_family_mismatch", "[::1]:8000"),
    "IPv4 alone": (elsewhere(TCP, asked=SIX), "loopback_family_mismatch", "127.0.0.1:8000"),
    "IPv6 alone, not asked whether it answers": (elsewhere(SIX, answers=False), "loopback_family_mismatch", None),
    "IPv6 alone, told to take localhost": (
        elsewhere(SIX, apps=[app(SIX, binds=["tcp:localhost:8000"])]),
        "loopback_family_mismatch",
        "[::1]:8000",
    ),
    "one interface": (elsewhere(INNER), "netns_or_interface_mismatch", "10.0.0.1:8000"),
    "loopback, asked at an interface": (elsewhere(TCP, asked=INNER), "netns_or_interface_mismatch", "127.0.0.1:8000"),
    "another port": (elsewhere("tcp:[::1]:9000"), "wrong_upstream_address", "[::1]:9000"),
    "no app server": (
        elsewhere(SIX, apps=[], listeners=[listener(SIX, unit="resolver.service")]),
        "wrong_upstream_address",
        None,
    ),
    "an address that is somebody's own": (
        elsewhere(TCP, asked="tcp:127.77.0.1:8000"),
        "wrong_upstream_address",
        None,
    ),
}


@pytest.mark.parametrize(("record", "cause", "pass_to"), CASES.values(), ids=CASES)
def test_where_the_app_listens(record: HostRecord, cause: str, pass_to: str | None) -> None:
    finding = only(record)
    assert (finding.cause, finding.host, finding.severity) == (cause, "web1", "outage")
    if pass_to is None:
        assert finding.fix is None or not finding.fix.automatic
    else:
        assert finding.fix is not None
        assert [each["pass_to"] for each in finding.fix.variables["proxy_pass_routes"]] == [pass_to]


def test_an_app_for_its_own_host_is_that_hosts_finding() -> None:
    finding = only(front(), back(apps=[app(TCP)]))
    assert (finding.cause, finding.host, finding.fix) == ("netns_or_interface_mismatch", "app1", None)
    assert "nginx asks 10.0.0.2: from another host that is out of reach" in shown(finding)


def in_a_namespace(**changes: Any) -> HostRecord:
    inside = listener(TCP, unit="shop.service", network_namespace="net:[7]")
    values: dict[str, Any] = {"listeners": [SSHD, inside], "probes": [probe(TCP, "refused")]}
    return site(**{**values, **changes})


def test_a_network_of_its_own_is_seen() -> None:
    finding = only(in_a_namespace(units=[unit(raw={"PrivateNetwork": "yes"}), nginx_unit()]))
    assert (finding.cause, finding.confidence) == ("netns_or_interface_mismatch", "certain")
    assert "shop.service: PrivateNetwork=yes" in shown(finding)


def test_a_container_that_happens_to_use_the_port_is_a_guess() -> None:
    inside = listener(TCP, unit="docker-1.scope", network_namespace="net:[7]")
    finding = only(in_a_namespace(apps=[], listeners=[SSHD, inside]))
    assert (finding.cause, finding.confidence) == ("netns_or_interface_mismatch", "likely")


def test_without_a_probe_a_namespace_proves_nothing() -> None:
    """nginx may well be in the very same one."""
    assert findings(in_a_namespace(probes=[])) == ()


def test_what_nginx_reaches_is_no_mismatch() -> None:
    assert findings(in_a_namespace(probes=[probe(TCP)])) == ()


def test_a_port_open_to_all_is_reached_from_everywhere() -> None:
    assert named(front("reset"), back()) == [("endpoint_not_answering", "web1", "outage")]
