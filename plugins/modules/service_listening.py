#!/usr/bin/python
# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation and wiring of sre.bad_gateway.service_listening."""

from __future__ import annotations

DOCUMENTATION = r"""
module: service_listening
short_description: See to it that a systemd unit runs and listens where its clients expect it
version_added: 0.1.0
description:
  - Starts a unit that does not run, clearing its start counter first; restarts it, once, when it runs but does not
    listen on every one of O(endpoints) (a unix socket whose file was deleted counts as not listening); then waits
    until it is active and listens, and is still so a moment later.
  - A unit that runs and listens is left alone.
  - What is kept of how a unit ended is returned in RV(was), because clearing the start counter makes systemd forget it.
  - When the unit does not come up the module fails, shows its last journal lines, and leaves units as they were - a
    unit that did not run is stopped again, one that had to stop for it is started, and enabling is taken back.
  - M(sre.bad_gateway.rollback) does the same later, for all units that a run touched.
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
  endpoints:
    description:
      - Where it has to listen, as C(tcp:HOST:PORT) (an IPv6 address in brackets) or C(unix:/PATH). A listener on all
        addresses serves every address.
      - None - that the unit is active is enough.
    type: list
    elements: str
    default: []
  enabled:
    description:
      - Whether it starts at boot. By default that stays as it is.
      - Units that cannot be enabled, having no C([Install]) section or coming from a generator, stay as they are.
    type: bool
  timeout:
    description: How long to wait for it, in seconds.
    type: float
    default: 30
seealso:
  - module: sre.bad_gateway.service_override
  - module: sre.bad_gateway.rollback
  - module: ansible.builtin.systemd_service
"""

EXAMPLES = r"""
- name: The shop answers on its port, also after a reboot
  sre.bad_gateway.service_listening:
    unit: shop.service
    enabled: true
    endpoints:
      - tcp:127.0.0.1:8000

- name: The blog answers on its socket, also when somebody deleted the file
  sre.bad_gateway.service_listening:
    unit: blog.service
    endpoints:
      - unix:/run/blog/blog.sock
  register: blog

- name: Say what was done
  ansible.builtin.debug:
    msg: "The blog needed: {{ blog.action }}"
"""

RETURN = r"""
action:
  description: What was done to the unit, or would be done in check mode.
  type: str
  returned: success
  choices: [none, start, restart]
  sample: restart
enabling:
  description: What was done about its start at boot, or would be done in check mode.
  type: str
  returned: success
  choices: [none, enable, disable]
  sample: none
changes:
  description: What was changed on the host, or would be in check mode, for reports.
  type: list
  elements: str
  returned: success
  sample: ["blog.service: enable", "blog.service: restart"]
missing:
  description: In check mode, endpoints where it does not listen yet.
  type: list
  elements: str
  returned: success
  sample: ["unix:/run/blog/blog.sock"]
recovered:
  description: Changes that were killed in the middle and were taken back before this one, or would be in check mode.
  type: list
  elements: str
  returned: success
  sample: []
was:
  description: How the unit had ended before it was started. Empty when it was not started.
  type: dict
  returned: success
  contains:
    state:
      description: The unit's state.
      type: str
      sample: failed
    result:
      description: What systemd says about its end.
      type: str
      sample: exit-code
    exit_status:
      description: Exit status of its main process, or the number of the signal that ended it.
      type: int
      sample: 3
    restarts:
      description: How often systemd had restarted it by itself.
      type: int
      sample: 5
    journal:
      description: Its last journal lines, secrets hidden.
      type: list
      elements: str
      sample: ["2026-03-01T10:15:02+0000 web1 gunicorn[711]: ModuleNotFoundError: No module named 'shop'"]
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.sre.bad_gateway.plugins.module_utils._payload import compile_once

compile_once()

from ansible_collections.sre.bad_gateway.plugins.module_utils._change._errors import ChangeError
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._unit_runs import Wanted, ensure


def main() -> None:
    """Wire the module's arguments to the change and its outcome to the result."""
    module = AnsibleModule(
        argument_spec={
            "unit": {"type": "str", "required": True},
            "endpoints": {"type": "list", "elements": "str", "default": []},
            "enabled": {"type": "bool"},
            "timeout": {"type": "float", "default": 30},
            "run_id": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    wanted = Wanted(**{name: module.params[name] for name in ("unit", "endpoints", "enabled", "timeout")})
    try:
        outcome = ensure(wanted, check_mode=module.check_mode, run_id=module.params["run_id"])
    except ChangeError as error:
        module.fail_json(msg=str(error))
    module.exit_json(
        changed=bool(outcome.changes),
        changes=outcome.changes,
        action=outcome.action,
        enabling=outcome.enabling,
        missing=list(outcome.missing),
        recovered=list(outcome.recovered),
        was=dict(outcome.was),
        diff={"prepared": "".join(f"{change}\n" for change in outcome.changes)},
    )


if __name__ == "__main__":
    main()
