# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The schema of findings."""

from __future__ import annotations

import dataclasses

from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._model import (
    AffectedRoute,
    Evidence,
    Finding,
    Fix,
)

FINDING = Finding(
    cause="app_not_running",
    host="app1",
    subject="shop.service",
    severity="outage",
    confidence="certain",
    routes=(AffectedRoute(server_names=("a", "b"), listen=("80",), location="/", file="/f", line=3),),
    endpoint="tcp:app1:8000",
    evidence=(Evidence(kind="probe", text="refused", source="web1"),),
    fix=Fix(role="supervision", automatic=False, summary="s", variables={"x": [1]}, candidates=("c",)),
)


def test_a_finding_has_the_keys_of_the_schema() -> None:
    assert FINDING.to_json() == {
        "id": "app_not_running/app1/shop.service",
        "cause": "app_not_running",
        "host": "app1",
        "severity": "outage",
        "confidence": "certain",
        "routes": [{"server_names": ["a", "b"], "listen": ["80"], "location": "/", "file": "/f", "line": 3}],
        "endpoint": "tcp:app1:8000",
        "evidence": [{"kind": "probe", "text": "refused", "source": "web1"}],
        "fix": {
            "role": "supervision",
            "automatic": False,
            "summary": "s",
            "variables": {"x": [1]},
            "candidates": ["c"],
        },
    }


def test_a_finding_without_fix_says_so() -> None:
    assert dataclasses.replace(FINDING, fix=None).to_json()["fix"] is None


def test_rank_is_severity_then_confidence_then_routes() -> None:
    wide = dataclasses.replace(FINDING, routes=FINDING.routes * 2, subject="z")
    unsure = dataclasses.replace(wide, confidence="possible")
    risk = dataclasses.replace(wide, severity="risk")
    intermittent = dataclasses.replace(unsure, severity="intermittent")
    ordered = sorted([risk, intermittent, unsure, FINDING, wide], key=lambda finding: finding.rank)
    assert ordered == [wide, FINDING, unsure, intermittent, risk]
