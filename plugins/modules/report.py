#!/usr/bin/python
# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation of sre.bad_gateway.report; the work is done by the action plugin of that name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: report
short_description: Report what was found on a fleet, for people and for programs
version_added: 0.1.0
description:
  - Diagnoses the observations of a run directory, writes C(report.json) and C(report.md) there, and prints the findings
    as a table.
  - Runs on the controller only and connects to no host, so it also works on observations that were saved elsewhere.
    Reports are no change of a host, the result is never C(changed).
author:
  - Contributors to the sre.bad_gateway project (@sre-bad-gateway)
extends_documentation_fragment:
  - sre.bad_gateway._attributes
  - sre.bad_gateway._attributes.no_diff
options:
  run_dir:
    description: Directory on the controller that M(sre.bad_gateway.observe) wrote its observations to.
    type: path
    required: true
  phase:
    description:
      - V(audit) - the run only looked.
      - V(before) - a remediation follows. Once written, observations and reports are set aside in C(RUN_DIR/before).
      - V(after) - a remediation is over. The report tells what became of the findings in C(RUN_DIR/before).
      - V(again) - saved observations are diagnosed again. What a remediation set aside stays, and its changes are told
        as its report told them.
    type: str
    choices: [audit, before, after, again]
    default: audit
  hosts:
    description:
      - The hosts of this run. One that left no observation is taken for failed instead of being forgotten.
      - By default the hosts that the directory holds an observation of.
    type: list
    elements: str
    default: []
  planned:
    description: The ids of the findings that a remediation was to fix. The task fails for those that are still there.
    type: list
    elements: str
    default: []
  outcomes:
    description:
      - For each host, what became of its remediation, for the report to tell - C(changed), a list of what was changed
        there, and C(failed), why it did not end well (empty - it did).
    type: dict
    default: {}
  fail_on:
    description:
      - The least severity of a finding that makes this task fail, after the reports are written.
    type: str
    choices: [nothing, risk, intermittent, outage]
    default: nothing
  fail_on_unseen:
    description: Whether a host that could not be looked at makes this task fail, after the reports are written.
    type: bool
    default: true
seealso:
  - module: sre.bad_gateway.observe
  - module: sre.bad_gateway.diagnose
"""

EXAMPLES = r"""
- name: Report, and fail a nightly job when somebody gets a 502
  sre.bad_gateway.report:
    run_dir: bad_gateway_report
    fail_on: outage
  run_once: true
"""

RETURN = r"""
files:
  description: The reports, on the controller.
  type: list
  elements: str
  returned: always
  sample: [bad_gateway_report/report.json, bad_gateway_report/report.md]
findings:
  description: How many findings of each severity there are.
  type: dict
  returned: always
  sample: {outage: 2, intermittent: 0, risk: 1}
"""
