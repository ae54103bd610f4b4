# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Writes a run's reports on the controller, and prints its findings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Mapping, Sequence

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import ObservationError
from ansible_collections.sre.bad_gateway.plugins.module_utils._version import COLLECTION_VERSION
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._diagnose import Diagnosis, diagnose
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._model import Finding
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._refusal import refusal
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._report._json import Run, report_json
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._report._markdown import report_markdown
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._report._table import table
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._run_directory import (
    HostRecord,
    RunDirectoryError,
    account_for,
    drop_before,
    read_outcomes,
    read_records,
    run_id,
    set_aside,
    started,
    write_report,
)

_ARGUMENTS = {
    "run_dir": {"type": "path", "required": True},
    "phase": {"type": "str", "choices": ["audit", "before", "after", "again"], "default": "audit"},
    "hosts": {"type": "list", "elements": "str", "default": []},
    "planned": {"type": "list", "elements": "str", "default": []},
    "outcomes": {"type": "dict", "default": {}},
    "fail_on": {"type": "str", "choices": ["nothing", "risk", "intermittent", "outage"], "default": "nothing"},
    "fail_on_unseen": {"type": "bool", "default": True},
}

_SEVERITIES = ("risk", "intermittent", "outage")  # least first


class ActionModule(ActionBase):  # type: ignore[misc]  # ansible-core ships no types
    """Connects to nobody: what hosts showed lies on the controller already."""

    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Write the reports; then fail if what they say is what the caller wants to fail on."""
        super().run(tmp, task_vars)
        arguments = self.validate_argument_spec(argument_spec=_ARGUMENTS)[1]
        try:
            return _report(arguments)
        except (RunDirectoryError, ObservationError) as error:
            return refusal(error)


def _report(arguments: Mapping[str, Any]) -> dict[str, Any]:
    run_dir = Path(arguments["run_dir"])
    account_for(run_dir, arguments["hosts"])
    records = read_records(run_dir)
    diagnosis = diagnose(records)
    earlier = _earlier(run_dir, arguments["phase"])
    before = diagnose(earlier) if earlier else None
    outcomes = read_outcomes(run_dir) if arguments["phase"] == "again" else arguments["outcomes"]
    # A remediation looks twice and is one run: the name that its changes are on record under is that of the first look.
    run = _run(earlier or records, outcomes, healed=_healed(before, diagnosis))
    files = _write(run_dir, diagnosis, run, phase=arguments["phase"])
    _show(diagnosis, run, files)
    complaints = [
        *_unhealed(arguments["planned"], before, diagnosis),
        *(f"{host}: {why}" for host, why in run.failed.items()),
        *(_unseen(records) if arguments["fail_on_unseen"] else []),
        *_too_severe(diagnosis, arguments["fail_on"]),
    ]
    result = {"changed": False, "files": files, "findings": _counts(diagnosis)}
    return {**result, "failed": True, "msg": "\n".join(complaints)} if complaints else result


def _earlier(run_dir: Path, phase: str) -> dict[str, HostRecord]:
    """What a remediation saw before it changed anything."""
    if phase == "after" or (phase == "again" and (run_dir / "before").exists()):
        return read_records(run_dir / "before")
    return {}


def _run(records: Mapping[str, HostRecord], outcomes: Mapping[str, Any], *, healed: tuple[Finding, ...]) -> Run:
    return Run(
        run_id=run_id(records),
        started=started(records),
        collection_version=COLLECTION_VERSION,
        changed={host: outcome["changed"] for host, outcome in outcomes.items() if outcome.get("changed")},
        failed={host: outcome["failed"] for host, outcome in outcomes.items() if outcome.get("failed")},
        healed=healed,
    )


def _healed(before: Diagnosis | None, after: Diagnosis) -> tuple[Finding, ...]:
    """What is not there any more, as far as every host that showed it could be looked at again."""
    left = {finding.id for finding in after.findings}
    unseen = [name for name, host in after.hosts.items() if host["status"] != "ok"]
    gone = [finding for finding in before.findings if finding.id not in left] if before else []
    return tuple(finding for finding in gone if not any(_shown_by(finding, host) for host in unseen))


def _shown_by(finding: Finding, host: str) -> bool:
    sources = [each.source for each in finding.evidence]
    return finding.host == host or any(source == host or source.startswith(f"{host}:") for source in sources)


def _unhealed(planned: Sequence[str], before: Diagnosis | None, after: Diagnosis) -> list[str]:
    """What was to be fixed without asking, and is there all the same; what logs tell of is a risk once it is past."""
    hurt = {finding.id for finding in before.findings if finding.severity != "risk"} if before else set()
    left = [each for each in after.findings if each.id in planned and (each.severity != "risk" or each.id not in hurt)]
    return [f"still there after its fix: {finding.id}" for finding in left]


def _write(run_dir: Path, diagnosis: Diagnosis, run: Run, *, phase: str) -> list[str]:
    """Write both reports to where the phase wants them, and return their paths."""
    texts = {
        "report.json": json.dumps(report_json(diagnosis, run), indent=2) + "\n",
        "report.md": report_markdown(diagnosis, run),
    }
    for name, text in texts.items():
        write_report(run_dir, name=name, text=text)
    if phase == "before":
        set_aside(run_dir)
    elif phase == "audit":
        drop_before(run_dir)
    return [str(run_dir / "before" / name if phase == "before" else run_dir / name) for name in texts]


def _show(diagnosis: Diagnosis, run: Run, files: Sequence[str]) -> None:
    Display().display(f"\n{table(diagnosis)}\n")
    if _without_nginx(diagnosis):
        Display().display(
            f"No nginx was found on {', '.join(_without_nginx(diagnosis))}. "
            "Where there should be one, name its main file with bad_gateway_nginx_config."
        )
    if _half_seen(diagnosis):
        Display().display(f"Not all could be seen on {', '.join(_half_seen(diagnosis))}: see the end of the report.")
    if run.healed:
        Display().display("Healed: " + ", ".join(finding.id for finding in run.healed))
    Display().display(f"Report: {files[-1]}\n")


def _unseen(records: Mapping[str, HostRecord]) -> list[str]:
    """Who could not be looked at; what many hosts share is said once."""
    hosts: dict[tuple[str, str], list[str]] = {}
    for host, record in records.items():
        if record.status != "ok":
            hosts.setdefault((record.status, record.reason), []).append(host)
    return [f"{', '.join(who)} could not be looked at ({status}): {why}" for (status, why), who in hosts.items()]


def _without_nginx(diagnosis: Diagnosis) -> list[str]:
    """Hosts that were looked at and have none: right for those that run app servers only, else worth a line."""
    return [name for name, host in diagnosis.hosts.items() if host["status"] == "ok" and not host["nginx"]]


def _half_seen(diagnosis: Diagnosis) -> list[str]:
    """Hosts that kept something to themselves, as from users who are not root. A missing nginx is told apart."""
    return [name for name, missed in diagnosis.missed.items() if any(what != "nginx" for what, _why in missed)]


def _too_severe(diagnosis: Diagnosis, least: str) -> list[str]:
    if least == "nothing":
        return []
    severe = _SEVERITIES[_SEVERITIES.index(least) :]
    return [f"{number} of severity {name}" for name, number in _counts(diagnosis).items() if number and name in severe]


def _counts(diagnosis: Diagnosis) -> dict[str, int]:
    found: list[str] = [finding.severity for finding in diagnosis.findings]
    return {severity: found.count(severity) for severity in reversed(_SEVERITIES)}
