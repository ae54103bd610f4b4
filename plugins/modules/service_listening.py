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
  - A unit that runs and listens is left alone. Enabling the unit is the business of M(ansible.builtin.systemd_service).
  - When the unit does not come up the module fails and shows its last journal lines.
author:
  - Contributors to the sre.bad_gateway project (@sre-bad-gateway)
extends_documentation_fragment:
  - sre.bad_gateway._attributes
  - sre.bad_gateway._attributes.no_diff
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
  timeout:
    description: How long to wait for it, in seconds.
    type: float
    default: 30
seealso:
  - module: sre.bad_gateway.service_override
  - module: ansible.builtin.systemd_service
"""

EXAMPLES = r"""
- name: The shop answers on its port
  sre.bad_gateway.service_listening:
    unit: shop.service
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
changes:
  description: What was changed on the host, or would be in check mode, for reports.
  type: list
  elements: str
  returned: success
  sample: ["blog.service: restart"]
missing:
  description: In check mode, endpoints where it does not listen yet.
  type: list
  elements: str
  returned: success
  sample: ["unix:/run/blog/blog.sock"]
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.sre.bad_gateway.plugins.module_utils._change._errors import ChangeError
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._listening import ensure


def main() -> None:
    """Wire the module's arguments to the change and its outcome to the result."""
    module = AnsibleModule(
        argument_spec={
            "unit": {"type": "str", "required": True},
            "endpoints": {"type": "list", "elements": "str", "default": []},
            "timeout": {"type": "float", "default": 30},
        },
        supports_check_mode=True,
    )
    parameters = module.params
    try:
        outcome = ensure(
            unit=parameters["unit"],
            endpoints=parameters["endpoints"],
            timeout=parameters["timeout"],
            check_mode=module.check_mode,
        )
    except ChangeError as error:
        module.fail_json(msg=str(error))
    module.exit_json(
        changed=outcome.changed,
        changes=[f"{parameters['unit']}: {outcome.action}"] if outcome.changed else [],
        action=outcome.action,
        missing=outcome.missing,
    )


if __name__ == "__main__":
    main()
