# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rules of packet filters, and connections that vanish."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import FilterRule
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._run_directory import HostRecord
from ansible_collections.sre.bad_gateway.tests.unit.plugins.plugin_utils._diagnosis._builders import (
    SSHD,
    network,
    nginx,
    nginx_unit,
    probe,
    route,
    stopped,
    stopped_app,
)
from ansible_collections.sre.bad_gateway.tests.unit.plugins.plugin_utils._diagnosis._scenes import (
    REMOTE,
    TCP,
    WIDE,
    back,
    findings,
    front,
    named,
    only,
    shown,
    site,
)


def rule(*keys: str, verdict: str = "reject", **changes: Any) -> FilterRule:
    values: dict[str, Any] = {
        "tool": "iptables",
        "where": "ip filter OUTPUT",
        "rule": "-A OUTPUT -p tcp --dport 8000 -j REJECT",
        "verdict": verdict,
        "endpoints": list(keys),
        "user": None,
        "certain": True,
        "packets": 7,
    }
    return FilterRule(**{**values, **changes})  # type: ignore[typeddict-item]


def filtered(*rules: FilterRule) -> dict[str, Any]:
    return {"network": network(filters=list(rules))}


CASES: dict[str, tuple[list[HostRecord], list[tuple[str, str, str]]]] = {
    "rejected on loopback": (
        [site(probes=[probe(TCP, "refused")], **filtered(rule(TCP)))],
        [("firewall_reject", "web1", "outage")],
    ),
    "prohibited by the app's host": (
        [front("unreachable"), back(**filtered(rule(WIDE)))],
        [("firewall_reject", "app1", "outage")],
    ),
    "rejected by nginx's host": (
        [front(**filtered(rule(REMOTE))), back()],
        [("firewall_reject", "web1", "outage")],
    ),
    "rejected by nginx's host, the app's is not known": (
        [front(**filtered(rule(REMOTE)))],
        [("firewall_reject", "web1", "outage")],
    ),
    "dropped by the app's host": (
        [front("timeout"), back(**filtered(rule(WIDE, verdict="drop")))],
        [("firewall_drop", "app1", "outage")],
    ),
    "dropped by nginx's host": (
        [front("timeout", **filtered(rule(REMOTE, verdict="drop"))), back()],
        [("firewall_drop", "web1", "outage")],
    ),
    "a rule for another port": (
        [site(probes=[probe(TCP, "refused")], **filtered(rule("tcp:127.0.0.1:9000")))],
        [("endpoint_not_answering", "web1", "outage")],
    ),
    "a rule that would drop, but it was refused": (
        [site(probes=[probe(TCP, "refused")], **filtered(rule(TCP, verdict="drop")))],
        [("endpoint_not_answering", "web1", "outage")],
    ),
    "a rule, but the app is stopped": (
        [
            site(
                apps=[stopped_app()],
                units=[stopped(), nginx_unit()],
                listeners=[SSHD],
                probes=[probe(TCP, "refused")],
                **filtered(rule(TCP)),
            )
        ],
        [("app_not_running", "web1", "outage")],
    ),
    "dropped, and nobody knows where": ([front("timeout"), back()], [("firewall_drop", "web1", "outage")]),
    "on one host nothing lies in between": (
        [site(probes=[probe(TCP, "timeout")])],
        [("endpoint_not_answering", "web1", "outage")],
    ),
}


@pytest.mark.parametrize(("records", "expected"), CASES.values(), ids=CASES)
def test_what_stops_the_connection(records: list[HostRecord], expected: list[tuple[str, str, str]]) -> None:
    assert named(*records) == expected


def test_rules_beside_what_answers_are_nobodys_trouble() -> None:
    assert findings(site(**filtered(rule(TCP, certain=False)))) == ()


def test_the_rule_is_shown_with_its_counter_and_whom_it_is_about() -> None:
    finding = only(site(probes=[probe(TCP, "refused")], **filtered(rule(TCP, user="www-data"))))
    text = "iptables, ip filter OUTPUT: -A OUTPUT -p tcp --dport 8000 -j REJECT, for www-data alone, 7 packets so far"
    assert text in shown(finding)
    assert finding.confidence == "certain"


CONFIDENCE = {
    "a rule that may not match": (
        [site(probes=[probe(TCP, "refused")], **filtered(rule(TCP, certain=False)))],
        "likely",
    ),
    "no rule at all": ([front("timeout"), back()], "possible"),
}


@pytest.mark.parametrize(("records", "confidence"), CONFIDENCE.values(), ids=CONFIDENCE)
def test_how_sure_it_is(records: list[HostRecord], confidence: str) -> None:
    assert only(*records).confidence == confidence


def test_one_rule_is_one_finding_and_the_certain_one_comes_first() -> None:
    other = "tcp:127.0.0.1:9000"
    doubtful = rule(TCP, rule="-A OUTPUT -j REJECT", where="ip a", certain=False)
    record = site(
        instances=[nginx(route(), route(other, location="/b", line=20))],
        listeners=[SSHD],
        apps=[],
        probes=[probe(TCP, "refused"), probe(other, "refused")],
        **filtered(doubtful, rule(TCP, other)),
    )
    finding = only(record)
    assert finding.cause == "firewall_reject"
    assert [each.location for each in finding.routes] == ["/", "/b"]
    assert "--dport 8000" in finding.evidence[0].text


def test_a_rule_does_not_keep_an_answer_back() -> None:
    record = site(probes=[probe(TCP, "timeout", phase="read")], **filtered(rule(TCP, verdict="drop")))
    assert "firewall_drop" not in [cause for cause, _host, _severity in named(record)]


ALLOWED: dict[str, tuple[list[HostRecord], list[dict[str, Any]], tuple[str, ...]]] = {
    "into the app's host": (
        [front("timeout"), back(**filtered(rule(WIDE, verdict="drop")))],
        [{"port": 8000, "source": "10.0.0.1"}],
        (),
    ),
    "into the app's host, from one of several addresses": (
        [
            front("timeout", addresses=["10.0.0.1", "10.9.0.1", "fd00::1", "169.254.0.9"]),
            back(**filtered(rule(WIDE, verdict="drop"))),
        ],
        [{"port": 8000}],
        ("10.0.0.1", "10.9.0.1"),
    ),
    "out of nginx's host": (
        [front(**filtered(rule(REMOTE))), back()],
        [{"port": 8000, "destination": "10.0.0.2"}],
        (),
    ),
    "on one host": (
        [site(probes=[probe(TCP, "refused")], **filtered(rule(TCP)))],
        [
            {"port": 8000, "destination": "127.0.0.1", "interface": "lo"},
            {"port": 8000, "source": "127.0.0.1", "interface": "lo"},
        ],
        (),
    ),
}


@pytest.mark.parametrize(("records", "allow", "candidates"), ALLOWED.values(), ids=ALLOWED)
def test_what_would_let_nginx_through_is_left_to_people(
    records: list[HostRecord], allow: list[dict[str, Any]], candidates: tuple[str, ...]
) -> None:
    fix = only(*records).fix
    assert fix is not None
    assert (fix.role, fix.automatic, fix.candidates) == ("upstream_firewall", False, candidates)
    assert fix.variables == {"upstream_firewall_allow": allow}
    assert ("set source" in fix.summary) == bool(candidates)
