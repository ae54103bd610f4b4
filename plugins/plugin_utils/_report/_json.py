# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The machine's report: stable, versioned, every key always present."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Mapping, Sequence

from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._diagnose import Diagnosis
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._model import Finding

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Run:
    """What reports say about the run itself."""

    run_id: str
    started: str  # UTC, ISO 8601
    collection_version: str
    changed: Mapping[str, Sequence[str]] = field(default_factory=dict)  # for each host, what a remediation changed
    failed: Mapping[str, str] = field(default_factory=dict)  # for each host, why its remediation did not end well
    healed: Sequence[Finding] = ()  # what a remediation found, and its verification did not any more


def report_json(diagnosis: Diagnosis, run: Run) -> dict[str, Any]:
    """The report as plain data."""
    return {
        "schema": SCHEMA_VERSION,
        "run_id": run.run_id,
        "started": run.started,
        "collection_version": run.collection_version,
        "hosts": {name: {**host, "changed": list(run.changed.get(name, []))} for name, host in diagnosis.hosts.items()},
        "findings": [finding.to_json() for finding in diagnosis.findings],
    }
