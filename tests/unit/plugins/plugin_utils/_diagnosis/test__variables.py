# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Routes that a variable decides about: an idle half is no outage, and nobody asks the other one."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.sre.bad_gateway.tests.unit.plugins.plugin_utils._diagnosis._builders import (
    SSHD,
    app,
    listener,
    log_event,
    nginx,
    nginx_unit,
    probe,
    route,
    seen,
    stopped,
    stopped_app,
    unit,
)
from ansible_collections.sre.bad_gateway.tests.unit.plugins.plugin_utils._diagnosis._scenes import findings, named, only

BLUE, GREEN, ELSEWHERE = "tcp:127.0.0.1:8001", "tcp:127.0.0.1:8002", "tcp:127.0.0.1:8003"


def two_slots(*, green: Any, **changes: Any) -> Any:
    values: dict[str, Any] = {
        "instances": [nginx(route(BLUE, GREEN, target="http://$slot", variables=True, chosen=True))],
        "apps": [app(BLUE), green],
        "units": [unit(), stopped("green.service"), nginx_unit()],
        "listeners": [SSHD, listener(BLUE)],
        "probes": [probe(BLUE), probe(GREEN, "refused")],
    }
    return seen("web1", **{**values, **changes})


IDLE = stopped_app(GREEN, unit="green.service")


@pytest.mark.parametrize(
    ("log", "severity"), [([], "risk"), ([log_event(GREEN)], "intermittent"), ([log_event(BLUE)], "risk")]
)
def test_whether_a_value_is_chosen_at_all_the_log_tells(log: list[Any], severity: str) -> None:
    found = [each for each in named(two_slots(green=IDLE, log=log)) if each[0] == "app_not_running"]
    assert found == [("app_not_running", "web1", severity)]


def test_no_value_leads_to_a_server_that_answers() -> None:
    record = two_slots(green=IDLE, probes=[probe(BLUE, "refused"), probe(GREEN, "refused")], listeners=[SSHD])
    assert ("app_not_running", "web1", "outage") in named(record)


def test_values_of_variables_are_not_rewritten() -> None:
    record = two_slots(
        green=app(ELSEWHERE, unit="green.service"),
        units=[unit(), unit("green.service"), nginx_unit()],
        listeners=[SSHD, listener(BLUE), listener(ELSEWHERE, unit="green.service")],
        probes=[probe(BLUE), probe(GREEN, "refused"), probe(ELSEWHERE)],
    )
    finding = only(record)
    assert (finding.cause, finding.fix) == ("wrong_upstream_address", None)


@pytest.mark.parametrize(
    ("routes", "automatic"),
    [
        ((route(GREEN),), True),
        ((route(GREEN), route(location="/v", target="http://$v", variables=True, endpoints=[])), False),
        ((route(GREEN), route("tcp:127.0.0.2:8003", location="/w")), None),
    ],
    ids=["one dead address", "another route leads where only nginx knows", "another dead route names its port"],
)
def test_an_app_server_that_may_be_there_for_another_route(routes: tuple[Any, ...], automatic: bool | None) -> None:
    record = seen(
        "web1",
        instances=[nginx(*routes)],
        apps=[app(ELSEWHERE)],
        units=[unit(), nginx_unit()],
        probes=[probe(GREEN, "refused"), probe("tcp:127.0.0.2:8003", "refused"), probe(ELSEWHERE)],
    )
    fixes = [each.fix for each in findings(record) if each.endpoint == GREEN]
    assert [fix and fix.automatic for fix in fixes] == [automatic]
