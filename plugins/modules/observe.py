#!/usr/bin/python
# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation and wiring of sre.bad_gateway.observe."""

from __future__ import annotations

DOCUMENTATION = r"""
module: observe
short_description: Look at everything on a host that decides whether nginx's upstreams answer
version_added: 0.1.0
description:
  - Gathers, in one round trip, all that is needed to tell why nginx answers 502 Bad Gateway - every nginx with its
    version, routes, upstreams and C(nginx -t), listening sockets with their processes and units, systemd units of nginx
    and of app servers, where app servers bind by their settings, a probe of every endpoint made as nginx's worker makes
    it, and the newest part of nginx's error and access logs and of the journals of nginx and of app servers,
    classified.
  - Changes nothing, and does not fail because something on the host is broken. What could not be seen is listed in
    C(missed) of RV(observation), with the reason.
  - Secrets in URLs, headers, arguments and environment variables, and query strings in log lines, are removed before
    the result leaves the host. No configuration file is returned as a whole.
  - Nothing is installed on the host. C(crossplane), which reads nginx's files, has to be installed on the controller
    and travels with the module.
author:
  - Contributors to the sre.bad_gateway project (@sre-bad-gateway)
extends_documentation_fragment:
  - sre.bad_gateway._attributes
  - sre.bad_gateway._attributes.no_diff
  - sre.bad_gateway._crossplane
  - sre.bad_gateway._log_window
notes:
  - Without root the module sees less (other users' sockets and logs), probes as the user that runs it, and says so.
  - Of access logs a quarter of O(log_bytes) is read, and journals are read as far back as O(log_since) says.
  - As every C(nginx -t) run by root does, the test creates log files that the configuration names and that are missing.
options:
  nginx_config:
    description:
      - Look only at the nginx with this main configuration file.
      - Without it every nginx is looked at that runs, that a systemd unit starts, or, where there is neither, that is
        found on C(PATH).
    type: path
  probe:
    description:
      - What to do with every endpoint that a route uses, and with every listener of an app server that no route uses.
      - V(request) connects and sends one small request in the route's protocol.
      - V(connect) only connects.
      - V(none) does not connect.
    type: str
    choices: [none, connect, request]
    default: request
  run_dir:
    description:
      - A run directory on the controller. When given, the observation is written to a file there, as is the reason when
        a host could not be looked at, and RV(observation) is left out of the result.
    type: path
seealso:
  - module: sre.bad_gateway.diagnose
  - module: sre.bad_gateway.report
"""

EXAMPLES = r"""
- name: Look at the host
  sre.bad_gateway.observe:
  register: looked

- name: Show the endpoints that do not answer
  ansible.builtin.debug:
    msg: "{{ item.endpoint }}: {{ item.outcome }} ({{ item.detail }})"
  loop: "{{ looked.observation.probes | rejectattr('outcome', 'eq', 'answered') }}"

- name: Look at one nginx only, and keep the observation on the controller
  sre.bad_gateway.observe:
    nginx_config: /etc/nginx-blog/nginx.conf
    run_dir: ./bad_gateway_report
"""

RETURN = r"""
observation:
  description: All that was gathered. It can be saved and diagnosed again later.
  type: dict
  returned: success, without O(run_dir)
  sample:
    schema: 1
    observed_at: "2026-11-21T03:50:01Z"
    probes:
      - endpoint: tcp:127.0.0.1:8001
        protocol: http
        address: 127.0.0.1:8001
        outcome: refused
        phase: connect
        errno: 111
        detail: Connection refused
        user: www-data
        as_nginx: true
    missed: []
  contains:
    schema:
      description: Version of this structure.
      type: int
    collection_version:
      description: Version of the collection that looked.
      type: str
    observed_at:
      description: When, in UTC, by the host's clock.
      type: str
    seconds:
      description: How long it took on the host.
      type: float
    host:
      description: Name, addresses and boot of the host, and the user that looked.
      type: dict
    nginx:
      description: Every nginx, with its version, routes, upstreams and the result of C(nginx -t).
      type: list
      elements: dict
    endpoints:
      description: Every address that a route leads to, and every listener of an app server that no route leads to.
      type: list
      elements: dict
    listeners:
      description: Listening TCP and unix sockets with their processes, units and queues.
      type: list
      elements: dict
    socket_files:
      description: What is at the paths of the unix sockets that routes use.
      type: list
      elements: dict
    units:
      description: The systemd units of nginx, of app servers and of everything that listens.
      type: list
      elements: dict
    app_servers:
      description: App servers, running or not, with the addresses of their settings and of their processes.
      type: list
      elements: dict
    probes:
      description: One connection to each address of each endpoint.
      type: list
      elements: dict
    error_logs:
      description: nginx's error logs, their newest lines folded into events.
      type: list
      elements: dict
    network:
      description: >-
        Packet filters' rules that stop connections to endpoints, routes to them, connections, limits of the kernel.
      type: dict
    capacity:
      description: CPUs, memory, room on file systems, log rotation, security modules and what they refused.
      type: dict
    access_logs:
      description: nginx's access logs - how many requests there were, and those that failed or were tried twice.
      type: list
      elements: dict
    journals:
      description: What the journals of nginx, of app servers and of the kernel say of workers, boots and kills.
      type: list
      elements: dict
    missed:
      description: What could not be seen, and why.
      type: list
      elements: dict
record:
  description: The file on the controller that holds the observation.
  type: str
  returned: success, with O(run_dir)
  sample: /home/admin/bad_gateway_report/observations/web1.json
"""

import gc
import json

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.sre.bad_gateway.plugins.module_utils._payload import (
    PayloadError,
    compile_once,
    unpack_crossplane,
)

compile_once()
gc.disable()  # this process lives for a second: walks through all that was imported cost more than they would free

from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._collect import ObserveOptions, observe
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._logs._options import (
    LOG_OPTIONS,
    LogOptionError,
    log_window,
)


def main() -> None:
    """Observe this host."""
    module = AnsibleModule(
        argument_spec={
            "nginx_config": {"type": "path"},
            "probe": {"type": "str", "choices": ["none", "connect", "request"], "default": "request"},
            **LOG_OPTIONS,
            "run_dir": {"type": "path"},  # read by the action plugin
            "_crossplane": {"type": "str", "no_log": True},
        },
        supports_check_mode=True,
    )
    try:
        unpack_crossplane(module.params["_crossplane"], module.tmpdir)
        logs = log_window(module.params)
    except (PayloadError, LogOptionError) as error:
        module.fail_json(msg=str(error))
    options = ObserveOptions(nginx_config=module.params["nginx_config"], probe=module.params["probe"], logs=logs)
    # As one text, which the action plugin opens: a walk through it for values to hide, as through every answer, takes
    # longer on a host of a thousand sites than reading its nginx. Here secrets are removed where they are met.
    module.exit_json(changed=False, observation=json.dumps(observe(options)))


if __name__ == "__main__":
    main()
