#!/usr/bin/python
# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation and wiring of sre.bad_gateway.gunicorn_workers."""

from __future__ import annotations

DOCUMENTATION = r"""
module: gunicorn_workers
short_description: Give gunicorn as many workers as suit it
version_added: 0.2.0
description:
  - Two workers for each CPU and one, where the CPUs are those that the unit's quota and affinity leave, and no more
    than memory holds by what one worker was measured to take.
  - The workers that run become more (C(TTIN)) or fewer (C(TTOU)) one by one. No request is lost, and nothing is
    restarted.
  - For the next start a drop-in says the same number where it wins. Where C(ExecStart=) has C(--workers), that is the
    command with another number; else it is C(GUNICORN_CMD_ARGS), which wins over settings files and
    C(WEB_CONCURRENCY). Neither the unit nor a settings file is edited. When another place wins all the same, or the new
    workers do not stay, everything is taken back.
author:
  - Contributors to the sre.bad_gateway project (@sre-bad-gateway)
extends_documentation_fragment:
  - sre.bad_gateway._attributes
  - sre.bad_gateway._attributes.diff
  - sre.bad_gateway._run_id
requirements:
  - systemd on the managed host
  - root on the managed host
options:
  unit:
    description: Full name of the unit that starts gunicorn, with its suffix.
    type: str
    required: true
  workers:
    description:
      - How many it is to have, whatever would suit it. By default they are counted as above, which needs a gunicorn
        that runs.
    type: int
  replace_chosen:
    description:
      - Whether to count them also where somebody has set a number, on the command line, in C(GUNICORN_CMD_ARGS), in a
        settings file or in C(WEB_CONCURRENCY). By default such a number stays. What this module has set itself is not
        meant.
    type: bool
    default: false
  state:
    description:
      - Whether the drop-in exists. With V(absent) it is removed, and what runs becomes as many as the unit's own
        settings say, where these can be read.
    type: str
    choices: [present, absent]
    default: present
notes:
  - New workers load the app's code as it is on the disk, and gunicorn ends when one of them cannot. So no worker is
    added where code below the unit's C(WorkingDirectory=) has changed since the last one started, and RV(left) names
    it. Code elsewhere is not looked at.
  - Until its next start, a reload of gunicorn (C(HUP)) brings back the number that it was started with. Run this again
    after one.
  - A drop-in with C(ExecStart=) keeps the rest of the command as it was when this last ran. Run this again after the
    unit's own command has changed.
seealso:
  - module: sre.bad_gateway.service_override
  - module: sre.bad_gateway.app_server_facts
  - module: sre.bad_gateway.rollback
  - name: gunicorn's settings and where they come from
    description: Which place wins over which.
    link: https://docs.gunicorn.org/en/stable/configure.html
"""

EXAMPLES = r"""
- name: Let the shop use its CPUs
  sre.bad_gateway.gunicorn_workers:
    unit: shop.service

- name: Have four, whatever would suit it
  sre.bad_gateway.gunicorn_workers:
    unit: shop.service
    workers: 4

- name: Correct a number that was copied from a larger host
  sre.bad_gateway.gunicorn_workers:
    unit: shop.service
    replace_chosen: true
  register: corrected

- name: Say why it is that number
  ansible.builtin.debug:
    msg: "{{ corrected.workers }} workers: {{ corrected.why }}"
"""

RETURN = r"""
changes:
  description: What was changed on the host, or would be in check mode, for reports.
  type: list
  elements: str
  returned: success
  sample:
    - /etc/systemd/system/shop.service.d/zz-bad-gateway-workers.conf
    - "shop.service: 5 workers, 1 before"
workers:
  description: How many the unit is to have. Null where that is left to its own settings.
  type: int
  returned: success
  sample: 5
why:
  description: Why it is that many.
  type: str
  returned: success
  sample: 2 x 2 CPUs + 1 = 5; memory holds 60 of 25 MiB each (1730 MiB available)
left:
  description: Why the workers are left as they are. Empty where they are not.
  type: str
  returned: success
  sample: /srv/shop/gunicorn.conf.py says 4
before:
  description: How many ran before. Null where gunicorn does not run.
  type: int
  returned: success
  sample: 1
path:
  description: The drop-in file.
  type: str
  returned: success
  sample: /etc/systemd/system/shop.service.d/zz-bad-gateway-workers.conf
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
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._gunicorn_workers import Wish, apply, difference


def main() -> None:
    """Wire the module's arguments to the change and its outcome to the result."""
    module = AnsibleModule(
        argument_spec={
            "unit": {"type": "str", "required": True},
            "workers": {"type": "int"},
            "replace_chosen": {"type": "bool", "default": False},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "run_id": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    given = module.params
    try:
        wish = Wish(
            unit=given["unit"],
            workers=given["workers"],
            replace_chosen=given["replace_chosen"],
            present=given["state"] == "present",
        )
        outcome = apply(wish, check_mode=module.check_mode, run_id=given["run_id"])
    except ChangeError as error:
        module.fail_json(msg=str(error))
    module.exit_json(
        changed=bool(outcome.changes),
        changes=outcome.changes,
        workers=outcome.workers,
        why=outcome.why,
        left=outcome.left,
        before=outcome.before,
        path=outcome.edit.path,
        recovered=list(outcome.recovered),
        diff=difference(outcome),
    )


if __name__ == "__main__":
    main()
