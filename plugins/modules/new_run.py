#!/usr/bin/python
# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation of sre.bad_gateway.new_run; the work is done by the action plugin of that name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: new_run
short_description: Begin a run, with all that it needs on the controller
version_added: 0.1.0
description:
  - Makes the run directory, removes observations that an earlier run left there, and fails when it cannot be written,
    when C(crossplane) is missing on the controller, or when M(sre.bad_gateway.report) would refuse what it is going to
    be told. So that is said once, before any host is looked at.
  - Runs on the controller only and connects to no host. The run directory is no part of any host, the result is never
    C(changed).
author:
  - Contributors to the sre.bad_gateway project (@sre-bad-gateway)
extends_documentation_fragment:
  - sre.bad_gateway._attributes
  - sre.bad_gateway._attributes.no_diff
requirements:
  - crossplane on the controller
options:
  run_dir:
    description: Directory on the controller for the observations and reports of the run.
    type: path
    required: true
  fail_on:
    description: What M(sre.bad_gateway.report) will be told. It is only checked here.
    type: str
    choices: [nothing, risk, intermittent, outage]
    default: nothing
seealso:
  - module: sre.bad_gateway.observe
  - module: sre.bad_gateway.report
"""

EXAMPLES = r"""
- name: Forget what an earlier run saw
  sre.bad_gateway.new_run:
    run_dir: bad_gateway_report
  run_once: true

- name: Look at every host
  sre.bad_gateway.observe:
    run_dir: bad_gateway_report
"""

RETURN = r"""
"""
