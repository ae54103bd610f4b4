#!/usr/bin/python
# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation and wiring of sre.bad_gateway.service_override."""

from __future__ import annotations

DOCUMENTATION = r"""
module: service_override
short_description: Set settings of a systemd unit through a drop-in of its own
version_added: 0.1.0
description:
  - Writes a drop-in file for a unit, for example with C(Restart=always) or C(After=), and lets systemd read it.
    The vendor's unit file is never touched.
  - The drop-in is tested with C(systemd-analyze verify) on a copy of the unit before it is put in place. When the unit
    does not load with it all the same, what was there before is put back.
  - Dependencies that a unit has already (C(After=), C(Requires=), C(Wants=)) can be added to by a drop-in, not taken
    away. Other list settings are reset with an empty first value, for example C(["", "/usr/bin/app"]).
  - C(ExecStart=) takes the place of the unit's own command, unless the unit's type is C(oneshot), without the empty
    first value.
  - Most settings take effect at the unit's next start, C(Restart=) and dependencies at once. O(activate) says whether
    that start is now. When the unit does not come back, or does not listen on every one of O(listens), what was there
    before is put back and the unit runs, or not, as it did; the error holds its last journal lines.
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
    description: Full name of the unit, with its suffix.
    type: str
    required: true
  name:
    description:
      - Name of this override among those of the unit. The file is
        C(/etc/systemd/system/UNIT.d/zz-bad-gateway-NAME.conf), which systemd reads after the C(override.conf) of
        C(systemctl edit).
    type: str
    default: override
  sections:
    description:
      - Sections of the unit, each with its settings. A value is a string, a number, a boolean (written as C(yes) or
        C(no)) or, for settings that may be given several times, a list of these.
      - Required when O(state=present).
    type: dict
  optional:
    description: Do nothing, instead of failing, where the host has no such unit.
    type: bool
    default: false
  activate:
    description:
      - What lets the unit take the drop-in up, when that changed. V(restart) also starts a unit that does not run.
      - V(none) - nothing, beyond systemd's reading it.
    type: str
    choices: [none, reload, restart]
    default: none
  listens:
    description:
      - Where the unit has to listen after O(activate), as C(tcp:HOST:PORT) or C(unix:/PATH). None - that it is active
        is enough.
    type: list
    elements: str
    default: []
  timeout:
    description: How long to wait for that, in seconds.
    type: float
    default: 30
  state:
    description: Whether the drop-in exists.
    type: str
    choices: [present, absent]
    default: present
seealso:
  - module: sre.bad_gateway.service_listening
  - module: sre.bad_gateway.rollback
  - module: ansible.builtin.systemd_service
"""

EXAMPLES = r"""
- name: Let systemd revive the app, whatever ended it
  sre.bad_gateway.service_override:
    unit: shop.service
    name: supervision
    sections:
      Service:
        Restart: always
        RestartSec: 2s

- name: Run the app with more workers, or as before where that does not work
  sre.bad_gateway.service_override:
    unit: shop.service
    name: workers
    sections:
      Service:
        ExecStart: /usr/bin/gunicorn --bind 127.0.0.1:8000 --workers 5 shop.wsgi
    activate: restart
    listens: ["tcp:127.0.0.1:8000"]

- name: Start nginx after the app, without tying their restarts together
  sre.bad_gateway.service_override:
    unit: nginx.service
    name: shop
    sections:
      Unit:
        After: [shop.service]
        Wants: [shop.service]
"""

RETURN = r"""
changes:
  description: What was changed on the host, or would be in check mode, for reports.
  type: list
  elements: str
  returned: success
  sample: [/etc/systemd/system/shop.service.d/zz-bad-gateway-supervision.conf]
recovered:
  description: Changes that were killed in the middle and were taken back before this one, or would be in check mode.
  type: list
  elements: str
  returned: success
  sample: []
path:
  description: The drop-in file.
  type: str
  returned: success
  sample: /etc/systemd/system/shop.service.d/zz-bad-gateway-supervision.conf
action:
  description: What was done to the unit, or would be in check mode.
  type: str
  returned: success
  choices: [none, reload, restart]
  sample: none
reloaded:
  description: Whether systemd was told to read its units again.
  type: bool
  returned: success
  sample: true
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.sre.bad_gateway.plugins.module_utils._payload import compile_once

compile_once()

from ansible_collections.sre.bad_gateway.plugins.module_utils._change._errors import ChangeError
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._unit_files import Override, typed_sections
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._unit_override import Activation, apply, diff


def main() -> None:
    """Wire the module's arguments to the change and its outcome to the result."""
    module = AnsibleModule(
        argument_spec={
            "unit": {"type": "str", "required": True},
            "name": {"type": "str", "default": "override"},
            "sections": {"type": "dict"},
            "optional": {"type": "bool", "default": False},
            "activate": {"type": "str", "choices": ["none", "reload", "restart"], "default": "none"},
            "listens": {"type": "list", "elements": "str", "default": []},
            "timeout": {"type": "float", "default": 30},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "run_id": {"type": "str", "default": ""},
        },
        required_if=[("state", "present", ["sections"])],
        supports_check_mode=True,
    )
    given = module.params
    how = Activation(action=given["activate"], endpoints=given["listens"], timeout=given["timeout"])
    try:
        sections = typed_sections(given["sections"] if given["state"] == "present" else {})
        override = Override(unit=given["unit"], name=given["name"], sections=sections, optional=given["optional"])
        outcome = apply(override, how, check_mode=module.check_mode, run_id=given["run_id"])
    except ChangeError as error:
        module.fail_json(msg=str(error))
    module.exit_json(
        changed=bool(outcome.changes),
        changes=outcome.changes,
        recovered=list(outcome.recovered),
        path=outcome.path,
        action=outcome.action,
        reloaded=outcome.reloaded,
        diff=diff(outcome),
    )


if __name__ == "__main__":
    main()
