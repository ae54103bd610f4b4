#!/usr/bin/python
# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation and wiring of sre.bad_gateway.rollback."""

from __future__ import annotations

DOCUMENTATION = r"""
module: rollback
short_description: Take back what a run changed on a host
version_added: 0.1.0
description:
  - Puts every file that M(sre.bad_gateway.nginx_routes) and M(sre.bad_gateway.service_override) changed in one run back
    to what it held before, with owner, mode and extended attributes; files that the run made are removed.
  - C(nginx -t) accepts the former files before a live one is touched. nginx is reloaded, systemd reads its units again,
    and a unit that the run restarted is restarted.
  - All of it is one transaction. Killed in the middle, it is repaired by the next change or rollback.
  - Units that the run started, stopped, enabled or disabled are brought back too. One that had failed is stopped.
  - The last 50 runs of a host can be taken back.
author:
  - Contributors to the sre.bad_gateway project (@sre-bad-gateway)
extends_documentation_fragment:
  - sre.bad_gateway._attributes
  - sre.bad_gateway._attributes.diff
options:
  run_id:
    description:
      - The run to take back, with all its parts; or one part of it, C(RUN/PART).
      - By default the last run that changed this host. Taken back already, it is not followed by the one before.
      - Of a run that this host does not know nothing is taken back; RV(runs) says which there are.
      - On a fleet, name the run to take back. The last one of each host need not be the same.
    type: str
    default: ""
  force:
    description: Take back files too that somebody edited since. These edits are lost.
    type: bool
    default: false
seealso:
  - module: sre.bad_gateway.nginx_routes
  - module: sre.bad_gateway.service_override
"""

EXAMPLES = r"""
- name: Take the last run back
  sre.bad_gateway.rollback:
  register: taken_back

- name: Say what was done
  ansible.builtin.debug:
    msg: "{{ taken_back.changes | join(', ') }}"

- name: Take a given run back, whatever was edited since
  sre.bad_gateway.rollback:
    run_id: 20260301T101500Z-1f0c9a7b
    force: true
"""

RETURN = r"""
changes:
  description: What was done, or would be in check mode, one line for each file and each unit.
  type: list
  elements: str
  returned: success
  sample: ["/etc/nginx/conf.d/shop.conf: as before the run"]
run_id:
  description: The run; empty when this host has none on record.
  type: str
  returned: success
  sample: 20260301T101500Z-1f0c9a7b
runs:
  description: The runs that this host has on record, newest first, whatever was taken back.
  type: list
  elements: dict
  returned: success
  contains:
    run_id:
      description: The run.
      type: str
      sample: 20260301T101500Z-1f0c9a7b
    named:
      description: Whether somebody named it. A change without a run is one of its own, of this host alone.
      type: bool
      sample: true
    changed_at:
      description: When it made its last change on this host, UTC.
      type: str
      sample: "2026-03-01T10:15:03Z"
    rollback:
      description: Whether it took another run back.
      type: bool
      sample: false
    in_force:
      description: Whether something of it was not taken back before this task.
      type: bool
      sample: true
transactions:
  description: The changes that were taken back, newest first. Empty when there was nothing to do.
  type: list
  elements: dict
  returned: success
  contains:
    id:
      description: Name of the transaction, which sorts by time.
      type: str
      sample: 20260301T101503.123456Z
    module:
      description: The module that made the change.
      type: str
      sample: nginx_routes
    started:
      description: When it was made, UTC.
      type: str
      sample: "2026-03-01T10:15:03Z"
files:
  description: The files that were put back or removed.
  type: list
  elements: str
  returned: success
  sample: [/etc/nginx/conf.d/shop.conf]
units:
  description: The units whose files are among them.
  type: list
  elements: str
  returned: success
  sample: [shop.service]
recovered:
  description: Changes that were killed in the middle and were taken back before this one, or would be in check mode.
  type: list
  elements: str
  returned: success
  sample: []
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.sre.bad_gateway.plugins.module_utils._payload import compile_once

compile_once()

from ansible_collections.sre.bad_gateway.plugins.module_utils._change._errors import ChangeError
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._rollback import roll_back


def main() -> None:
    """Wire the module's arguments to the rollback and its outcome to the result."""
    module = AnsibleModule(
        argument_spec={
            "run_id": {"type": "str", "default": ""},
            "force": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    try:
        result = roll_back(run_id=module.params["run_id"], force=module.params["force"], check_mode=module.check_mode)
    except ChangeError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result.as_dict(diff=module._diff))


if __name__ == "__main__":
    main()
