# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Hosts that many tests of causes begin with, and what the diagnosis says of them in short."""

from __future__ import annotations

from typing import Any

from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import Journal, JournalEvent
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._diagnose import diagnose
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._model import Finding
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._run_directory import HostRecord
from ansible_collections.sre.bad_gateway.tests.unit.plugins.plugin_utils._diagnosis._builders import (
    app,
    endpoint,
    fleet,
    nginx,
    nginx_unit,
    probe,
    route,
    seen,
    unit,
)

NOW = "2026/11/21 03:00:10"  # of every host
TCP = "tcp:127.0.0.1:8000"
SOCKET = "unix:/run/shop/shop.sock"
REMOTE = "tcp:app1:8000"
WIDE = "tcp:0.0.0.0:8000"


def site(key: str = TCP, **changes: Any) -> HostRecord:
    """One host: nginx, and gunicorn of shop.service behind its one route."""
    values: dict[str, Any] = {"instances": [nginx(route(key))], "apps": [app(key)], "units": [unit(), nginx_unit()]}
    return seen("web1", **{**values, **changes})


def front(outcome: str = "refused", **changes: Any) -> HostRecord:
    """nginx on web1, whose one route leads to app1."""
    values: dict[str, Any] = {
        "addresses": ["10.0.0.1"],
        "instances": [nginx(route(REMOTE))],
        "units": [nginx_unit()],
        "endpoints": [endpoint(REMOTE, addresses=["10.0.0.2"])],
        "probes": [probe(REMOTE, outcome, address="10.0.0.2:8000")],
    }
    return seen("web1", **{**values, **changes})


def back(**changes: Any) -> HostRecord:
    """app1, where gunicorn listens for everybody."""
    return seen("app1", **{"addresses": ["10.0.0.2"], "apps": [app(WIDE)], "units": [unit()], **changes})


def said(signature: str, *, count: int = 2, last: str = "2026/11/21 03:00:08", **changes: Any) -> JournalEvent:
    values: dict[str, Any] = {
        "signature": signature,
        "count": count,
        "first": "2026/11/21 03:00:00",
        "last": last,
        "details": {},
        "sample": f"a line of {signature}",
        "per_minute": {last[:16]: count},
    }
    return JournalEvent(**{**values, **changes})  # type: ignore[typeddict-item]


def journal(*events: JournalEvent, unit: str = "shop.service", **changes: Any) -> Journal:
    values: dict[str, Any] = {
        "unit": unit,
        "available": True,
        "why": "",
        "since": None,
        "lines": 10,
        "events": list(events),
        "tail": [],
    }
    return Journal(**{**values, **changes})  # type: ignore[typeddict-item]


def findings(*records: HostRecord) -> tuple[Finding, ...]:
    return diagnose(fleet(*records)).findings


def only(*records: HostRecord) -> Finding:
    (finding,) = findings(*records)
    return finding


def named(*records: HostRecord) -> list[tuple[str, str, str]]:
    """Cause, host and severity of each finding."""
    return [(each.cause, each.host, each.severity) for each in findings(*records)]


def shown(finding: Finding) -> str:
    return "\n".join(each.text for each in finding.evidence)
