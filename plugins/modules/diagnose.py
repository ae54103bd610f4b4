#!/usr/bin/python
# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation of sre.bad_gateway.diagnose; the work is done by the action plugin of that name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: diagnose
short_description: Name the causes of 502 Bad Gateway from what was observed on a fleet
version_added: 0.1.0
description:
  - Reads the observations of a run directory, joins the hosts with each other, and returns findings, each with its
    evidence and its fix, and a plan for each host.
  - Runs on the controller only and connects to no host. The same observations always give the same findings.
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
  hosts:
    description:
      - The hosts of this run. One that left no observation is taken for failed instead of being forgotten.
      - By default the hosts that the directory holds an observation of.
    type: list
    elements: str
    default: []
  only:
    description: Plan the fixes of these causes only. By default those of all causes.
    type: list
    elements: str
    default: []
  skip:
    description: Plan no fix of these causes.
    type: list
    elements: str
    default: []
  confidence:
    description: Plan the fixes of findings that are at least that sure.
    type: str
    choices: [certain, likely, possible]
    default: possible
  batches:
    description:
      - How many hosts RV(rollout) takes at a time - for the first batch, the second and so on; the last one repeats. A
        number of hosts, or a share of those of that side that have a plan, as in V(10%).
    type: list
    elements: str
    default: ["100%"]
seealso:
  - module: sre.bad_gateway.observe
  - module: sre.bad_gateway.report
"""

EXAMPLES = r"""
- name: Find out what is wrong, and where
  sre.bad_gateway.diagnose:
    run_dir: bad_gateway_report
    hosts: "{{ ansible_play_hosts_all }}"
  run_once: true
  register: diagnosis

- name: Show the causes
  ansible.builtin.debug:
    msg: "{{ diagnosis.findings | map(attribute='cause') | list }}"
  run_once: true
"""

RETURN = r"""
run_id:
  description: Names the run - when it began, and a hash of what it looked at.
  type: str
  returned: success
  sample: 20260930T031500Z-1f2e3d4c
findings:
  description: What is wrong, most severe first, in the schema of the report.
  type: list
  elements: dict
  returned: success
  sample:
    - cause: app_not_running
      host: app1
      severity: outage
      confidence: certain
      endpoint: tcp:app1:8000
plans:
  description: For each host with automatic fixes, the roles to apply there with their variables.
  type: dict
  returned: success
  sample:
    app1:
      supervision:
        supervision_units:
          - unit: shop.service
            enabled: true
planned:
  description: The ids of the findings whose fixes are in RV(plans).
  type: list
  elements: str
  returned: success
  sample: [app_not_running/app1/shop.service]
rollout:
  description:
    - The hosts with a plan, in batches to mend one after the other - first the sides C(app), then C(nginx). A host with
      fixes on both sides is in both.
    - C(witnesses) are the hosts whose nginx shows what became of a batch.
  type: list
  elements: dict
  returned: success
  sample:
    - side: app
      roles: [supervision]
      hosts: [app1]
      witnesses: [app1, web1]
hosts:
  description: For each host, whether it could be looked at, its nginx versions and its number of routes.
  type: dict
  returned: success
  sample:
    app1:
      status: ok
      reason: ""
      nginx: []
      routes: 0
"""
