#!/usr/bin/python
# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation of sre.bad_gateway.verify; the work is done by the action plugin of that name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: verify
short_description: Tell whether every route of a fleet answers
version_added: 0.2.0
description:
  - Reads the observations of a run directory and fails when a route has no endpoint that answers the probes made as its
    nginx makes them, naming host, route, endpoint and reason.
  - With O(against), fails only for what answered there and does not any more. That is what stops a rollout.
  - Runs on the controller only and connects to no host. M(sre.bad_gateway.observe) makes the probes.
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
      - The hosts that were to be looked at. One that left no observation is said.
      - By default the hosts that the directory holds an observation of.
    type: list
    elements: str
    default: []
  against:
    description:
      - Directory with earlier observations to compare with, like C(before) in the run directory of a remediation.
      - Hosts that were not looked at again are not judged.
    type: path
seealso:
  - module: sre.bad_gateway.observe
  - module: sre.bad_gateway.diagnose
"""

EXAMPLES = r"""
- name: Look at the hosts
  sre.bad_gateway.observe:
    run_dir: bad_gateway_report

- name: Every route answers
  sre.bad_gateway.verify:
    run_dir: bad_gateway_report
    hosts: "{{ ansible_play_hosts_all }}"
  run_once: true
"""

RETURN = r"""
silent:
  description: What does not answer; with O(against), what answered there.
  type: list
  elements: dict
  returned: always
  sample:
    - host: web1
      route: shop.example /
      endpoint: tcp:127.0.0.1:8001
      why: "refused: Connection refused"
"""
