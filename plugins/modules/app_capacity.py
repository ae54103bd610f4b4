#!/usr/bin/python
# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation and wiring of sre.bad_gateway.app_capacity."""

from __future__ import annotations

DOCUMENTATION = r"""
module: app_capacity
short_description: Give uWSGI or PHP-FPM as many workers, and as long a queue, as suit
version_added: 0.2.0
description:
  - Sets uWSGI's C(processes) and C(listen), or C(pm.max_children) and C(listen.backlog) of one of PHP-FPM's pools, in
    the file where they are in force. Of that file only the digits change, or one line is added.
  - Suitable are two processes of uWSGI for each CPU that is left to it and one; of PHP-FPM as many children as memory
    holds beside those of its other pools, and no more than ten for each CPU; and a queue as long as nginx's own, 511.
    Workers are capped by the memory measured for each one that runs, the queue by C(net.core.somaxconn).
  - A number that is set already is only ever raised, unless another one is asked for. What the unit's command line or
    its environment says is left to who says it.
  - C(php-fpm --test) judges all of PHP-FPM's settings before any file is touched. uWSGI has no such test. Its settings
    are read once more when they are in place, as uWSGI reads them, and put back where they do not say what they should.
  - The change is kept only where the unit, once it took it up, is active and listens. M(sre.bad_gateway.rollback) can
    take it back.
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
    description: The systemd service that runs uWSGI or PHP-FPM.
    type: str
    required: true
  endpoint:
    description:
      - Where the pool listens that is meant, as C(tcp:HOST:PORT) or C(unix:/PATH). Needed only where the unit has
        several.
    type: str
  workers:
    description:
      - How many processes or children it is to have, whatever would suit. With C(pm = dynamic) the spare children are
        made no more than that.
      - Without it as many as suit, which can be told only while it runs.
    type: int
  backlog:
    description:
      - How many connections may wait. Never more than C(net.core.somaxconn), because uWSGI then refuses to start, and
        the kernel shortens PHP-FPM's queue; RV(settings[].why) says so.
    type: int
  activate:
    description:
      - V(reload) - as gracefully as the unit offers. The length of a queue, and everything where the unit offers no
        reload, waits for its next restart; RV(pending) says what.
      - V(restart) - restart it where a reload is not enough, also for what an earlier run left waiting.
      - V(none) - only the files are changed.
      - PHP-FPM ends requests at a reload unless C(process_control_timeout) lets it wait for them.
    type: str
    choices: [reload, restart, none]
    default: reload
  timeout:
    description: How long to wait for the unit to listen, in seconds.
    type: float
    default: 30
seealso:
  - module: sre.bad_gateway.gunicorn_workers
  - module: sre.bad_gateway.rollback
"""

EXAMPLES = r"""
- name: As many processes as suit, and a queue that holds a burst
  sre.bad_gateway.app_capacity:
    unit: shop.service
    activate: restart

- name: Twenty children in the forum's pool
  sre.bad_gateway.app_capacity:
    unit: php8.2-fpm.service
    endpoint: unix:/run/php/forum.sock
    workers: 20
  register: forum

- name: Say what waits for a restart
  ansible.builtin.debug:
    var: forum.pending
"""

RETURN = r"""
changes:
  description: What was changed on the host, or would be in check mode, for reports.
  type: list
  elements: str
  returned: success
  sample: [/etc/uwsgi/shop.ini, "shop.service: restart"]
settings:
  description: The settings that were looked at, under the app server's own names, and why they are as they are now.
  type: list
  elements: dict
  returned: success
  sample:
    - {name: processes, before: 1, after: 5, why: "2 x 2 CPUs + 1 = 5; memory holds 97 of 20 MiB each"}
    - {name: listen, before: 3, after: 511, why: as long as nginx's own queue}
  contains:
    name:
      description: The setting.
      type: str
      returned: success
    before:
      description: What it was; the app server's default where nobody had set it.
      type: int
      returned: success
    after:
      description: What it is now.
      type: int
      returned: success
    why:
      description: How that came about, or why it is left alone.
      type: str
      returned: success
pending:
  description: The settings that the unit takes up when it is restarted, and not before.
  type: list
  elements: str
  returned: success
  sample: [listen]
recovered:
  description:
    - What a change that was killed in the middle had left, taken back before this one. In check mode what would be.
  type: list
  elements: str
  returned: success
  sample: []
"""

from dataclasses import asdict

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.sre.bad_gateway.plugins.module_utils._payload import compile_once

compile_once()

from ansible_collections.sre.bad_gateway.plugins.module_utils._change._app_capacity import Wish, apply, differences
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._errors import ChangeError


def main() -> None:
    """Wire the module's arguments to the change and its outcome to the result."""
    module = AnsibleModule(
        argument_spec={
            "unit": {"type": "str", "required": True},
            "endpoint": {"type": "str"},
            "workers": {"type": "int"},
            "backlog": {"type": "int"},
            "activate": {"type": "str", "choices": ["reload", "restart", "none"], "default": "reload"},
            "timeout": {"type": "float", "default": 30},
            "run_id": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    given = dict(module.params)
    run_id = given.pop("run_id")
    try:
        outcome = apply(Wish(**given), check_mode=module.check_mode, run_id=run_id)
    except ChangeError as error:
        module.fail_json(msg=str(error))
    module.exit_json(
        changed=bool(outcome.changes),
        changes=outcome.changes,
        settings=[asdict(setting) for setting in outcome.settings],
        pending=list(outcome.pending),
        recovered=list(outcome.recovered),
        diff=differences(outcome),
    )


if __name__ == "__main__":
    main()
