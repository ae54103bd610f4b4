# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An address that was right until what listened there went away, beside an app server that no route uses."""

from __future__ import annotations

from typing import Any, Iterable

import pytest

from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import (
    AccessLog,
    AccessLogSetting,
    ErrorLogEvent,
)
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._run_directory import HostRecord
from ansible_collections.sre.bad_gateway.tests.unit.plugins.plugin_utils._diagnosis._builders import (
    app,
    endpoint,
    log_event,
    nginx,
    nginx_unit,
    probe,
    route,
    seen,
    unit,
)
from ansible_collections.sre.bad_gateway.tests.unit.plugins.plugin_utils._diagnosis._scenes import (
    WIDE,
    back,
    front,
    only,
    shown,
)

DEAD = "tcp:127.0.0.1:8001"  # what listened there was started by hand, and left no trace
ADMIN = "tcp:127.0.0.1:8000"  # answers, and no route uses it
ACCESS = "/var/log/nginx/access.log"
BOOT, LATE = "2026/11/21 01:00:00", "2026/11/21 02:49:30"


def minutes(first: int, last: int) -> list[str]:
    return [f"2026/11/21 02:{minute:02}" for minute in range(first, last + 1)]


ASKED, FAILING = minutes(30, 59), minutes(50, 59)


def logs(*server_names: str) -> list[AccessLogSetting]:
    return [{"destination": ACCESS, "format": "", "server_names": list(server_names), "file": "", "line": 0}]


def access_log(asked: Iterable[str]) -> AccessLog:
    return {
        "path": ACCESS,
        "available": True,
        "why": "",
        "has_upstream_status": False,
        "size": 1,
        "bytes_read": 1,
        "files_read": [ACCESS],
        "since": None,
        "requests": 1,
        "per_minute": dict.fromkeys(asked, 5),
        "events": [],
    }


def failed(
    key: str, failing: Iterable[str], *, first: str = "2026/11/21 02:50:04", signature: str = "connect_refused"
) -> ErrorLogEvent:
    """The log keeps the time of the first line, and the number of lines of the newest minutes."""
    per_minute = dict.fromkeys(failing, 5)
    times = {"first": first, "last": f"{max(per_minute)}:58"}
    return {**log_event(key, signature=signature), "per_minute": per_minute, **times}  # type: ignore[typeddict-item]


def host(
    *,
    asked: Iterable[str] = ASKED,
    failing: Iterable[str] = FAILING,
    admin_since: str = BOOT,
    whole: bool = True,
    first: str = "2026/11/21 02:50:04",
    signature: str = "connect_refused",
    **instance: Any,
) -> HostRecord:
    """web1 at 03:00:10: its one route fails since 02:50, requests came in since 02:30."""
    values = {"access_logs": logs(), "workers_since": BOOT, **instance}
    record = seen(
        "web1",
        instances=[nginx(route(DEAD), **values)],
        apps=[app(ADMIN, running_since=admin_since)],
        units=[unit(), nginx_unit()],
        probes=[probe(DEAD, "refused"), probe(ADMIN)],
        log=[failed(DEAD, failing, first=first, signature=signature)],
        access_logs=[access_log(asked)],
    )
    assert record.observation is not None
    record.observation["error_logs"][0]["whole"] = whole
    return record


def is_rerouted(record: HostRecord) -> bool:
    finding = only(record)
    assert (finding.cause, finding.fix is not None) == ("wrong_upstream_address", True)
    return bool(finding.fix and finding.fix.automatic)


def test_a_site_that_worked_is_not_given_to_another_sites_app() -> None:
    finding = only(host())
    assert finding.fix is not None
    assert (finding.fix.automatic, finding.fix.candidates) == (False, ("127.0.0.1:8000",))
    assert "start what listened there before" in finding.fix.summary
    assert finding.confidence == "possible"
    assert "failed first at 2026/11/21 02:50:04, in 10 of 10 minutes with requests since" in shown(finding)


def test_only_minutes_that_are_known_are_counted() -> None:
    finding = only(host(failing=minutes(56, 59), asked=minutes(42, 59)))
    assert "in 4 of 4 minutes with requests since 2026/11/21 02:56 and in none of 8 before the first" in shown(finding)


NOTHING_KNOWN = {
    "nginx was told another address then": {"workers_since": LATE},
    "the app server was started then": {"admin_since": LATE},
    "nginx read its files shortly before": {"workers_since": "2026/11/21 02:46:00"},
    "nobody asked for anything before": {"asked": minutes(50, 59)},
    "who asked before asked for another site": {"access_logs": logs("other.example")},
    "the site is asked for in few minutes": {
        "failing": ["2026/11/21 02:50", "2026/11/21 02:55"],
        "asked": minutes(44, 59),
    },
    "it has failed for long": {"failing": minutes(30, 59), "first": "2026/11/21 02:30:04"},
    "older errors were not read": {"whole": False},
    "nginx has not read its files yet": {"runs_as_configured": False},
    "it is not known when nginx read them": {"workers_since": ""},
    "it is not known when the app server was started": {"admin_since": ""},
}


@pytest.mark.parametrize("changes", NOTHING_KNOWN.values(), ids=NOTHING_KNOWN.keys())
def test_where_that_is_not_known_the_only_candidate_is_taken(changes: dict[str, Any]) -> None:
    assert is_rerouted(host(**changes))


STILL_KNOWN = {
    "a missing socket": {"signature": "connect_enoent"},
    "the site's own log": {"access_logs": logs("shop.example")},
    "an access log that is written later than the error log": {"asked": minutes(30, 49)},
    "a site that is asked for in every other minute": {"failing": minutes(50, 59)[::2]},
}


@pytest.mark.parametrize("changes", STILL_KNOWN.values(), ids=STILL_KNOWN.keys())
def test_what_makes_no_difference(changes: dict[str, Any]) -> None:
    assert not is_rerouted(host(**changes))


@pytest.mark.parametrize(("started", "rerouted"), [("2026/11/21 06:29:00", False), ("2026/11/21 06:51:00", True)])
def test_clocks_of_two_hosts_are_not_compared(started: str, rerouted: bool) -> None:
    """That of the app server's host is four hours ahead."""
    instance = nginx(route("tcp:app1:8001"), access_logs=logs(), workers_since=BOOT)
    web = front(
        instances=[instance],
        endpoints=[endpoint("tcp:app1:8001", addresses=["10.0.0.2"])],
        probes=[probe("tcp:app1:8001", "refused", address="10.0.0.2:8001")],
        log=[failed("tcp:10.0.0.2:8001", FAILING)],
        access_logs=[access_log(ASKED)],
    )
    behind = back(apps=[app(WIDE, running_since=started)], info={"local_time": "2026/11/21 07:00:10"})
    finding = only(web, behind)
    assert finding.fix is not None
    assert finding.fix.automatic is rerouted
