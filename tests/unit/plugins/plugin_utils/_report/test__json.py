# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The machine's report."""

from __future__ import annotations

import json

from ansible_collections.sre.bad_gateway.plugins.plugin_utils._report._json import Run, report_json
from ansible_collections.sre.bad_gateway.tests.unit.plugins.plugin_utils._report._diagnoses import broken


def test_the_schema_is_what_it_promises() -> None:
    run = Run("20260930T031500Z-1f2e3d4c", "2026-09-30T03:15:00Z", "0.1.0", changed={"web1": ["/etc/nginx/shop"]})
    report = report_json(broken(), run)
    findings = report.pop("findings")
    assert report == {
        "schema": 1,
        "run_id": "20260930T031500Z-1f2e3d4c",
        "started": "2026-09-30T03:15:00Z",
        "collection_version": "0.1.0",
        "hosts": {
            "db1": {"status": "unreachable", "reason": "timed out", "nginx": [], "routes": 0, "changed": []},
            "web1": {"status": "ok", "reason": "", "nginx": ["1.22.1"], "routes": 1, "changed": ["/etc/nginx/shop"]},
            "web2": {"status": "ok", "reason": "", "nginx": ["1.22.1"], "routes": 1, "changed": []},
        },
    }
    assert findings == [finding.to_json() for finding in broken().findings]


def test_it_is_json() -> None:
    report = report_json(broken(), Run("r", "s", "v"))
    assert json.loads(json.dumps(report)) == report
