# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A name that has moved while nginx kept its old address."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import ErrorLogEvent
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._run_directory import HostRecord
from ansible_collections.sre.bad_gateway.tests.unit.plugins.plugin_utils._diagnosis._builders import (
    log_event,
    nginx,
    nginx_unit,
    probe,
    route,
    upstream,
)
from ansible_collections.sre.bad_gateway.tests.unit.plugins.plugin_utils._diagnosis._scenes import (
    REMOTE,
    back,
    front,
    named,
    only,
    shown,
)

OLD = "tcp:10.0.0.9:8000"


def line(key: str = OLD, *, signature: str = "connect_refused", **changes: Any) -> ErrorLogEvent:
    return {**log_event(key, signature=signature), **changes}  # type: ignore[typeddict-item]


def moved(*events: ErrorLogEvent, **changes: Any) -> list[HostRecord]:
    """app1 is 10.0.0.2 now and answers."""
    return [front("answered", **{"log": list(events), **changes}), back()]


def through(*parameters: str) -> Any:
    group = upstream("shop", REMOTE, parameters={REMOTE: list(parameters)})
    return [nginx(route(REMOTE, upstream="shop"), upstreams=[group])]


CASES: dict[str, tuple[list[HostRecord], list[tuple[str, str, str]]]] = {
    "refused a moment ago": (moved(line()), [("stale_dns_address", "web1", "outage")]),
    "timed out a moment ago": (
        moved(line(signature="timeout_connect")),
        [("stale_dns_address", "web1", "outage")],
    ),
    "refused half an hour ago": (
        moved(line(last="2026/11/21 02:30:00")),
        [("stale_dns_address", "web1", "intermittent")],
    ),
    "one of several servers": (
        moved(
            line(),
            instances=[nginx(route(REMOTE, "tcp:10.0.0.2:9000"))],
            probes=[probe(REMOTE), probe("tcp:10.0.0.2:9000")],
        ),
        [("stale_dns_address", "web1", "intermittent")],
    ),
    "refused this morning": (moved(line(last="2026/11/21 01:30:00")), []),
    "refused at today's address": (moved(line("tcp:10.0.0.2:8000")), []),
    "another port": (moved(line("tcp:10.0.0.9:9000")), []),
    "another site": (moved(line(server="blog.example")), []),
    "nginx asks again by itself": (moved(line(), instances=through("resolve")), []),
    "an upstream without resolve": (
        moved(line(), instances=through("max_fails=3")),
        [("stale_dns_address", "web1", "outage")],
    ),
    "nginx was started since": (
        moved(line(), units=[nginx_unit(active_since="Sat 2026-11-21 03:00:10 UTC")]),
        [],
    ),
    "nginx read its configuration since": (
        moved(line(), instances=[nginx(route(REMOTE), workers_since="2026/11/21 03:00:10")]),
        [],
    ),
    "nginx read its configuration before": (
        moved(line(), instances=[nginx(route(REMOTE), workers_since="2026/11/21 03:00:08")]),
        [("stale_dns_address", "web1", "outage")],
    ),
    "no name, an address that was corrected": (
        moved(line(), instances=[nginx(route("tcp:10.0.0.2:8000"))], probes=[probe("tcp:10.0.0.2:8000")]),
        [],
    ),
}


@pytest.mark.parametrize(("records", "expected"), CASES.values(), ids=CASES)
def test_whether_a_name_has_moved(records: list[HostRecord], expected: list[tuple[str, str, str]]) -> None:
    assert named(*records) == expected


def test_both_addresses_are_told() -> None:
    finding = only(*moved(line()))
    assert (finding.confidence, finding.fix) == ("likely", None)
    assert "app1 is 10.0.0.2 now; nginx still asks 10.0.0.9" in shown(finding)
