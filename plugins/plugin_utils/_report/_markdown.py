# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The report for whoever is on call: what is broken, how we know, what to do, and what nobody looked at."""

from __future__ import annotations

from typing import Any, Iterator

from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._causes import TITLES, page
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._diagnose import Diagnosis
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._model import AffectedRoute, Finding, Fix
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._report._json import Run
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._report._text import code, how_to_fix, markdown, verdict

_PLAY = "ansible-playbook -i INVENTORY sre.bad_gateway"


def report_markdown(diagnosis: Diagnosis, run: Run) -> str:
    """The whole report."""
    lines = [
        f"# 502 Bad Gateway: {markdown(verdict(diagnosis))}",
        "",
        f"Run {code(run.run_id)}, started {code(run.started)}, collection {code(run.collection_version)}.",
        *_overview(diagnosis),
        *(line for number, finding in enumerate(diagnosis.findings, 1) for line in _finding(number, finding)),
        *_remediation(run),
        *_hosts(diagnosis),
        *_missed(diagnosis),
    ]
    return "\n".join(lines) + "\n"


def _overview(diagnosis: Diagnosis) -> Iterator[str]:
    if not diagnosis.findings:
        return
    yield from ["", "| # | severity | host | cause | endpoint | fix |", "|---|---|---|---|---|---|"]
    for number, finding in enumerate(diagnosis.findings, 1):
        cells = [finding.severity, finding.host, TITLES[finding.cause], finding.endpoint or "", how_to_fix(finding)]
        yield f"| {number} | {' | '.join(markdown(cell) for cell in cells)} |"
    yield from ["", "The pages that findings link to are in `docs/causes` of the installed collection, too."]
    if diagnosis.plans:
        yield from ["", "What is automatic, on all hosts, first to look at it and then to do it:", ""]
        yield from ["```shell", f"{_PLAY}.remediate --check --diff", f"{_PLAY}.remediate", "```"]


def _finding(number: int, finding: Finding) -> Iterator[str]:
    yield from ["", f"## {number}. {markdown(finding.host)}: {TITLES[finding.cause]}", ""]
    about = f" Endpoint {code(finding.endpoint)}." if finding.endpoint else ""
    yield f"**{finding.severity}**, {finding.confidence}. Cause {code(finding.cause)}.{about}"
    yield f"What it means and what to do: {page(finding.cause)}"
    if finding.routes:
        yield from ["", "Routes:", ""]
        yield from (f"- {_route(route)}" for route in finding.routes)
    yield from ["", "Evidence:", ""]
    yield from (f"- {each.kind}: {code(each.text)} ({code(each.source)})" for each in finding.evidence)
    yield ""
    if finding.fix is None:
        yield "Fix: by hand; there is no one right answer. The page of the cause says more."
    else:
        yield from _fix(finding.host, finding.fix)


def _route(route: AffectedRoute) -> str:
    names = " ".join(route.server_names) or "(no server name)"
    listen = ", ".join(route.listen) or "(default)"
    return f"{code(f'{names} {route.location}')}, listen {code(listen)}, in {code(f'{route.file}:{route.line}')}"


def _fix(host: str, fix: Fix) -> Iterator[str]:
    yield f"Fix ({'automatic' if fix.automatic else 'to decide'}): {markdown(fix.summary)}."
    if fix.candidates:
        yield from ["", "Candidates:", "", *(f"- {code(candidate)}" for candidate in fix.candidates)]
    yield from ["", "This one alone, as a playbook:", "", "```yaml", f"- hosts: {_scalar(host)}", "  become: true"]
    yield from ["  roles:", f"    - role: sre.bad_gateway.{fix.role}", "      vars:"]
    for name, entries in fix.variables.items():
        yield f"        {name}:"
        for entry in entries:
            dash = ["- ", *("  " for _unused in entry)]
            yield from (f"          {mark}{key}: {_scalar(value)}" for mark, (key, value) in zip(dash, entry.items()))
    yield "```"


def _scalar(value: Any) -> str:
    """A value as YAML on one line. What a host wrote is no template of the controller's."""
    if isinstance(value, list):
        return f"[{', '.join(_scalar(each) for each in value)}]"
    if not isinstance(value, str):
        return str(value).lower()
    quoted = '"' + "".join(_character(each) for each in value) + '"'
    return f"!unsafe {quoted}" if "{" in value else quoted


def _character(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    return character if character.isprintable() else f"\\U{ord(character):08x}"


def _remediation(run: Run) -> Iterator[str]:
    if run.healed:
        yield from ["", "## What was healed", ""]
        yield from (f"- {markdown(each.host)}: {TITLES[each.cause]} ({code(each.id)})" for each in run.healed)
    if any(run.changed.values()):
        yield from ["", "## What was changed", ""]
        for host, changes in sorted(run.changed.items()):
            yield from (f"- {markdown(host)}: {code(change)}" for change in changes)
        yield from ["", "To take it back:", "", "```shell"]
        yield from [f"{_PLAY}.rollback -e rollback_run_id={run.run_id}", "```"]
    if any(run.failed.values()):
        yield from ["", "## What could not be fixed", ""]
        yield from (f"- {markdown(host)}: {code(why)}" for host, why in sorted(run.failed.items()) if why)


def _hosts(diagnosis: Diagnosis) -> Iterator[str]:
    yield from ["", "## Hosts", "", "| host | status | nginx | routes |", "|---|---|---|---|"]
    for name, host in diagnosis.hosts.items():
        status = host["status"] if host["status"] == "ok" else f"{host['status']}, not looked at: {host['reason']}"
        cells = [name, status, ", ".join(version or "unknown" for version in host["nginx"]), str(host["routes"])]
        yield f"| {' | '.join(markdown(cell) for cell in cells)} |"


def _missed(diagnosis: Diagnosis) -> Iterator[str]:
    """What could not be seen on hosts that were looked at."""
    if any(diagnosis.missed.values()):
        yield from ["", "## What could not be seen", ""]
        for host, missed in diagnosis.missed.items():
            yield from (f"- {markdown(host)}: {code(f'{what}: {why}')}" for what, why in missed)
