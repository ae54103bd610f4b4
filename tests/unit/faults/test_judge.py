# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the harness takes for a hit, a miss and a false alarm."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from faults._judge import judge
from faults._model import Fault, Named

STOPPED = Fault(
    "stopped",
    "the app is stopped",
    first=(Named("app_not_running", host="app"),),
    never=("app_not_enabled",),
)
TWO = replace(STOPPED, first=(*STOPPED.first, Named("socket_missing", name="blog.example")))
HEALTHY = Fault("healthy", "nothing is wrong")


def finding(
    cause: str = "app_not_running", *, host: str = "stopped-app", name: str = "shop.example", severity: str = "outage"
) -> dict[str, Any]:
    return {"cause": cause, "host": host, "severity": severity, "routes": [{"server_names": [name]}]}


RISK = finding("app_not_supervised", severity="risk")
BLOG = finding("socket_missing", host="stopped-web", name="blog.example")


@pytest.mark.parametrize(
    ("fault", "findings", "named", "passed"),
    [
        pytest.param(STOPPED, [finding()], True, True, id="named"),
        pytest.param(STOPPED, [finding(), RISK], True, True, id="advice comes after it"),
        pytest.param(STOPPED, [RISK, finding()], False, False, id="advice comes before it"),
        pytest.param(STOPPED, [], False, False, id="nothing is said"),
        pytest.param(STOPPED, [finding("wrong_upstream_address")], False, False, id="another cause"),
        pytest.param(STOPPED, [finding(host="stopped-web")], False, False, id="another host"),
        pytest.param(STOPPED, [finding(name="blog.example")], False, False, id="another route"),
        pytest.param(STOPPED, [finding(), finding("worker_crash")], True, False, id="a false alarm beside it"),
        pytest.param(STOPPED, [finding(), finding("app_not_enabled", severity="risk")], True, False, id="never"),
        pytest.param(TWO, [BLOG, finding()], True, True, id="two, in any order"),
        pytest.param(TWO, [finding()], False, False, id="one of two"),
        pytest.param(HEALTHY, [], True, True, id="healthy, nothing is said"),
        pytest.param(HEALTHY, [RISK], True, True, id="healthy, with advice"),
        pytest.param(HEALTHY, [finding(severity="intermittent")], False, False, id="healthy, a false alarm"),
    ],
)
def test_judge(fault: Fault, findings: list[dict[str, Any]], named: bool, passed: bool) -> None:
    verdict = judge(fault, findings)

    assert (verdict.named, verdict.passed) == (named, passed)
    assert bool(verdict.complaints) != passed


def test_a_severity_that_matters() -> None:
    fault = replace(STOPPED, first=(Named("app_not_running", host="app", severity="risk"),))

    assert not judge(fault, [finding()]).passed
    assert judge(fault, [finding(severity="risk")]).passed


def test_a_cause_that_may_come_after_the_first() -> None:
    fault = replace(STOPPED, also=("worker_crash",))

    assert judge(fault, [finding(), finding("worker_crash")]).passed
    assert not judge(fault, [finding("worker_crash"), finding()]).passed


def test_what_went_wrong_before_the_diagnosis_is_a_failure() -> None:
    verdict = judge(STOPPED, [finding()], troubles=["GET / gave [200] instead of [502]"])

    assert verdict.named
    assert not verdict.passed


def test_an_entry_that_must_fail_does_not_do_so_by_an_accident() -> None:
    fault = replace(STOPPED, must_fail=True)

    assert judge(fault, []).passed
    assert not judge(fault, [], troubles=["its batch failed"]).passed


@pytest.mark.parametrize(
    ("fault", "findings", "passed"),
    [
        pytest.param(STOPPED, [], True, id="not broken, nothing is named"),
        pytest.param(STOPPED, [finding()], False, id="not broken, and named all the same"),
        pytest.param(HEALTHY, [finding()], True, id="broken, and it is an alarm"),
        pytest.param(HEALTHY, [], False, id="broken, and nobody says so"),
    ],
)
def test_entries_that_must_fail(fault: Fault, findings: list[dict[str, Any]], passed: bool) -> None:
    assert judge(replace(fault, must_fail=True), findings).passed is passed
