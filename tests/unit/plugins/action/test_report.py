# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a report says of a remediation, and what makes it fail."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.sre.bad_gateway.plugins.action import report
from ansible_collections.sre.bad_gateway.plugins.plugin_utils import _run_directory
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._diagnose import Diagnosis, diagnose
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._model import Severity
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._run_directory import HostRecord
from ansible_collections.sre.bad_gateway.tests.unit.plugins.plugin_utils._diagnosis._builders import (
    app,
    fleet,
    nginx,
    nginx_unit,
    probe,
    route,
    seen,
    unit,
    unreachable,
)

WRONG, RIGHT, FAR = "tcp:127.0.0.1:8001", "tcp:127.0.0.1:8000", "tcp:10.0.0.9:8000"
SICK = "wrong_upstream_address/web1/tcp:127.0.0.1:8001"


def sick(*more: str) -> HostRecord:
    """Its nginx points to a port beside that of its app; with another app there is no one right answer."""
    apps = [app(key, unit=f"{number}.service") for number, key in enumerate([RIGHT, *more])]
    probes = [probe(WRONG, "refused"), *(probe(key) for key in (RIGHT, *more))]
    units = [nginx_unit(), *(unit(f"{number}.service") for number in range(len(apps)))]
    return seen("web1", instances=[nginx(route(WRONG))], apps=apps, units=units, probes=probes)


def well(host: str = "web1") -> HostRecord:
    return seen(host, instances=[nginx(route())], apps=[app()], units=[unit(), nginx_unit()])


def diagnosed(*records: HostRecord) -> Diagnosis:
    return diagnose(fleet(*records))


def healed(before: Diagnosis | None, after: Diagnosis) -> list[str]:
    return [finding.id for finding in report._healed(before, after)]


def test_what_is_gone_was_healed() -> None:
    assert healed(diagnosed(sick()), diagnosed(well())) == [SICK]


def test_what_is_left_was_not_healed() -> None:
    assert healed(diagnosed(sick()), diagnosed(sick())) == []
    assert report._unhealed([SICK], diagnosed(sick()), diagnosed(sick())) == [f"still there after its fix: {SICK}"]


def test_what_is_left_and_was_not_tried_is_no_failure() -> None:
    assert report._unhealed([], diagnosed(sick()), diagnosed(sick())) == []


@pytest.mark.parametrize(
    ("before", "after", "failed"),
    [
        ("outage", "outage", True),
        ("intermittent", "intermittent", True),
        ("intermittent", "risk", False),  # the lines are past
        ("risk", "risk", True),
        ("risk", "outage", True),
    ],
)
def test_what_is_past_was_healed_and_what_was_a_risk_must_be_none(
    before: Severity, after: Severity, failed: bool
) -> None:
    first, second = (
        replace(found, findings=tuple(replace(each, severity=severity) for each in found.findings))
        for found, severity in ((diagnosed(sick()), before), (diagnosed(sick()), after))
    )
    assert bool(report._unhealed([SICK], first, second)) is failed


def test_an_audit_heals_nothing() -> None:
    assert healed(None, diagnosed(well())) == []


def test_a_finding_of_a_host_that_is_out_of_sight_was_not_healed() -> None:
    before = diagnosed(sick())
    assert healed(before, diagnosed(unreachable("web1"))) == []
    (finding,) = before.findings
    unfounded = replace(before, findings=(replace(finding, evidence=()),))
    assert healed(unfounded, diagnosed(unreachable("web1"))) == []


def test_a_finding_that_only_another_host_showed_was_not_healed_when_that_one_is_out_of_sight() -> None:
    stopped = unit("api.service", active_state="inactive", sub_state="dead", main_pid=0)
    api = app(FAR, unit="api.service", pids=[], listens=[])
    app1 = seen("app1", addresses=["10.0.0.9"], apps=[api], units=[stopped], probes=[])
    web1 = seen("web1", instances=[nginx(route(FAR))], units=[nginx_unit()], probes=[probe(FAR, "refused")])
    before = diagnosed(app1, web1)
    assert {(finding.cause, finding.host) for finding in before.findings} == {("app_not_running", "app1")}
    assert healed(before, diagnosed(seen("app1"), unreachable("web1"))) == []
    assert healed(before, diagnosed(seen("app1"), well("web1"))) != []


@pytest.mark.parametrize(
    ("least", "complaints"),
    [
        ("nothing", []),
        ("outage", ["1 of severity outage"]),
        ("intermittent", ["1 of severity outage"]),
        ("risk", ["1 of severity outage", "1 of severity risk"]),
    ],
)
def test_findings_as_severe_as_that_are_complained_of(least: str, complaints: list[str]) -> None:
    sick_and_at_risk = sick()
    assert sick_and_at_risk.observation is not None
    sick_and_at_risk.observation["units"][1]["unit_file_state"] = "disabled"
    assert report._too_severe(diagnosed(sick_and_at_risk), least) == complaints


def test_hosts_that_share_a_reason_share_a_line() -> None:
    records = fleet(
        unreachable("a", "timed out"), well("b"), unreachable("c", "timed out"), unreachable("d", "refused")
    )
    assert report._unseen(records) == [
        "a, c could not be looked at (unreachable): timed out",
        "d could not be looked at (unreachable): refused",
    ]


def test_only_hosts_that_were_looked_at_are_told_to_have_no_nginx() -> None:
    assert report._without_nginx(diagnosed(well("a"), seen("b"), unreachable("c"))) == ["b"]


def test_hosts_that_could_not_be_seen_whole_are_named() -> None:
    missed = {"a": [], "b": [("nginx", "none")], "c": [("nginx", "none"), ("error log /e", "Permission denied")]}
    assert report._half_seen(replace(diagnosed(well("a")), missed=missed)) == ["c"]


def reported(run_dir: Path, phase: str, *records: HostRecord, **arguments: Any) -> dict[str, Any]:
    for record in records:
        _run_directory.write_record(run_dir, record)
    common = {"hosts": [], "planned": [], "outcomes": {}, "fail_on": "nothing", "fail_on_unseen": True}
    return report._report({"run_dir": str(run_dir), "phase": phase, **common, **arguments})


def test_a_remediation_is_reported_in_two_phases(tmp_path: Path) -> None:
    before = reported(tmp_path, "before", sick())
    assert before["files"] == [str(tmp_path / "before" / name) for name in ("report.json", "report.md")]
    assert not (tmp_path / "report.json").exists()
    after = reported(tmp_path, "after", well(), outcomes={"web1": {"changed": ["a line"], "failed": ""}})
    assert "failed" not in after
    assert json.loads((tmp_path / "before" / "report.json").read_text())["findings"][0]["id"] == SICK
    assert json.loads((tmp_path / "report.json").read_text())["hosts"]["web1"]["changed"] == ["a line"]
    assert "## What was healed" in (tmp_path / "report.md").read_text()


def test_a_remediation_is_one_run(tmp_path: Path) -> None:
    reported(tmp_path, "before", sick())
    reported(tmp_path, "after", replace(well(), recorded_at="2027-01-01T00:00:00.000000Z"))
    first, last = (json.loads((tmp_path / name / "report.json").read_text()) for name in ("before", "."))
    assert (last["run_id"], last["started"]) == (first["run_id"], first["started"])


@pytest.mark.parametrize("remediated", [True, False])
def test_a_report_made_again_tells_the_same(tmp_path: Path, remediated: bool) -> None:
    if remediated:
        reported(tmp_path, "before", sick())
        reported(tmp_path, "after", well(), outcomes={"web1": {"changed": ["a line"], "failed": ""}})
    else:
        reported(tmp_path, "audit", sick())
    reports = {path: path.read_text() for path in tmp_path.glob("**/report.*")}
    assert len(reports) == (4 if remediated else 2)
    reported(tmp_path, "again")
    assert {path: path.read_text() for path in tmp_path.glob("**/report.*")} == reports


def test_saved_observations_are_reported_without_a_report_beside_them(tmp_path: Path) -> None:
    assert reported(tmp_path, "again", sick())["findings"]["outage"] == 1


def test_an_audit_forgets_what_was_before_an_earlier_remediation(tmp_path: Path) -> None:
    reported(tmp_path, "before", sick())
    reported(tmp_path, "audit", well())
    assert not (tmp_path / "before").exists()


def test_all_complaints_are_made_each_on_its_line(tmp_path: Path) -> None:
    reported(tmp_path, "before", sick())
    result = reported(
        tmp_path,
        "after",
        sick(),
        hosts=["web1", "web2"],
        planned=[SICK],
        outcomes={"web1": {"changed": [], "failed": "refused"}},
        fail_on="outage",
    )
    assert result["failed"] is True
    assert [line.split(":")[0] for line in result["msg"].splitlines()] == [
        "still there after its fix",
        "web1",
        "web2 could not be looked at (failed)",
        "1 of severity outage",
    ]
