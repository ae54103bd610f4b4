#!/usr/bin/python
# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation and wiring of sre.bad_gateway.log_rotation."""

from __future__ import annotations

DOCUMENTATION = r"""
module: log_rotation
short_description: Keep logs from filling the disk
version_added: 0.2.0
description:
  - Writes a file for C(logrotate) for every group of logs, and a limit for systemd's journal, in one transaction that
    M(sre.bad_gateway.rollback) can take back.
  - C(logrotate --debug) judges the host's whole configuration with the new files before any of them is put in place.
    Logs that another file rotates already are left to that one.
  - Where a file system is nearly full, exchanges the large logs on it for compressed copies beside them, named
    C(LOG.room-NUMBER.gz), also where not one byte is left. Nothing is deleted, and M(sre.bad_gateway.rollback) does not
    unpack them.
author:
  - Contributors to the sre.bad_gateway project (@sre-bad-gateway)
extends_documentation_fragment:
  - sre.bad_gateway._attributes
  - sre.bad_gateway._attributes.diff
  - sre.bad_gateway._run_id
requirements:
  - logrotate on the managed host
  - root on the managed host
options:
  logs:
    description: Groups of logs, each written and reopened by one program.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Names the group. Its file is C(/etc/logrotate.d/zz-bad-gateway-NAME).
        type: str
        required: true
      paths:
        description: Absolute paths of the logs; wildcards are allowed.
        type: list
        elements: str
        required: true
      unit:
        description:
          - The systemd service whose main process reopens the logs when it gets O(logs[].signal).
          - Without it the logs are copied and emptied (C(copytruncate)), for programs that never reopen them, like
            Node.js or uWSGI. Lines that are written between the two may be lost.
        type: str
      signal:
        description: The signal that makes the program reopen its logs. nginx, gunicorn and PHP-FPM do on V(USR1).
        type: str
        default: USR1
      frequency:
        description: How often the logs are rotated.
        type: str
        choices: [hourly, daily, weekly, monthly]
        default: daily
      keep:
        description: How many rotated files of each log are kept.
        type: int
        default: 14
      max_size:
        description:
          - A log above this size is rotated before its time, when logrotate next looks. In bytes, or with C(k), C(M) or
            C(G).
        type: str
        default: 100M
      as_user:
        description:
          - User and group to rotate as, separated by a blank. logrotate asks for it where others than root may write to
            the directory of a log.
        type: str
  journal_max_use:
    description:
      - The most that systemd's journal may use on disk (C(SystemMaxUse=)), like V(500M). Set in
        C(/etc/systemd/journald.conf.d/zz-bad-gateway.conf). By default the journal is left alone.
    type: str
    default: ""
  rotate_when_used:
    description:
      - Percent of a file system. Logs larger than 10 MiB on one that is used at least that much are compressed at once.
        V(0) never does.
    type: int
    default: 0
  state:
    description: Whether the files exist. With V(absent), those of O(logs) and of O(journal_max_use) are removed.
    type: str
    choices: [present, absent]
    default: present
seealso:
  - module: sre.bad_gateway.rollback
"""

EXAMPLES = r"""
- name: Rotate the logs of a site and of its app
  sre.bad_gateway.log_rotation:
    logs:
      - name: shop-nginx
        paths: [/srv/shop/logs/access.log, /srv/shop/logs/error.log]
        unit: nginx.service
      - name: shop-node
        paths: [/srv/shop/logs/app.log]
    journal_max_use: 500M
    rotate_when_used: 95
"""

RETURN = r"""
changes:
  description: What was changed on the host, or would be in check mode, for reports.
  type: list
  elements: str
  returned: success
  sample: [/etc/logrotate.d/zz-bad-gateway-shop-nginx, /srv/shop/logs/app.log.room-1.gz made room]
left:
  description: Paths that another file of logrotate's rotates already.
  type: list
  elements: str
  returned: success
  sample: [/var/log/nginx/error.log]
compressed:
  description: What made room on a file system that was nearly full. In check mode the logs that would be compressed.
  type: list
  elements: str
  returned: success
  sample: [/srv/shop/logs/app.log.room-1.gz]
recovered:
  description:
    - What a change that was killed in the middle had left, taken back before this one. In check mode what would be.
  type: list
  elements: str
  returned: success
  sample: []
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.sre.bad_gateway.plugins.module_utils._payload import compile_once

compile_once()

from ansible_collections.sre.bad_gateway.plugins.module_utils._change._errors import ChangeError
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._log_rotation import (
    Logs,
    Wish,
    apply,
    differences,
)

_LOGS = {
    "name": {"type": "str", "required": True},
    "paths": {"type": "list", "elements": "str", "required": True},
    "unit": {"type": "str"},
    "signal": {"type": "str", "default": "USR1"},
    "frequency": {"type": "str", "choices": ["hourly", "daily", "weekly", "monthly"], "default": "daily"},
    "keep": {"type": "int", "default": 14},
    "max_size": {"type": "str", "default": "100M"},
    "as_user": {"type": "str"},
}


def main() -> None:
    """Wire the module's arguments to the change and its outcome to the result."""
    module = AnsibleModule(
        argument_spec={
            "logs": {"type": "list", "elements": "dict", "default": [], "options": _LOGS},
            "journal_max_use": {"type": "str", "default": ""},
            "rotate_when_used": {"type": "int", "default": 0},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "run_id": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    given = module.params
    try:
        wish = Wish(
            logs=[Logs(**{**each, "paths": tuple(each["paths"])}) for each in given["logs"]],
            journal_max_use=given["journal_max_use"],
            rotate_when_used=given["rotate_when_used"],
            present=given["state"] == "present",
        )
        outcome = apply(wish, check_mode=module.check_mode, run_id=given["run_id"])
    except ChangeError as error:
        module.fail_json(msg=str(error))
    module.exit_json(
        changed=bool(outcome.changes),
        changes=outcome.changes,
        left=list(outcome.left),
        compressed=list(outcome.compressed),
        recovered=list(outcome.recovered),
        diff=differences(outcome),
    )


if __name__ == "__main__":
    main()
