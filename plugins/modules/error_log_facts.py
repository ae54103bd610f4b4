#!/usr/bin/python
# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation and wiring of sre.bad_gateway.error_log_facts."""

from __future__ import annotations

DOCUMENTATION = r"""
module: error_log_facts
short_description: Read what nginx's error logs say about upstreams
version_added: 0.1.0
description:
  - Reads the newest part of every error log that an nginx of the host writes, with the files that were rotated away
    from it, and folds lines that say the same of the same upstream into one event with counts for each minute.
  - Finds the logs through nginx's configuration, or takes the paths that are given.
  - A large log is entered where the window begins, without reading what lies before.
  - Credentials and query strings are removed before the result leaves the host.
author:
  - Contributors to the sre.bad_gateway project (@sre-bad-gateway)
extends_documentation_fragment:
  - sre.bad_gateway._attributes
  - sre.bad_gateway._attributes.no_diff
  - sre.bad_gateway._crossplane
  - sre.bad_gateway._log_window
notes:
  - A logged failure of an upstream is not yet an error that a client saw. nginx may have asked another server.
  - As every C(nginx -t) run by root does, the test of the configuration creates log files that it names and that are
    missing. With O(paths) no nginx is looked for.
options:
  nginx_config:
    description: Read only the logs of the nginx with this main configuration file.
    type: path
  paths:
    description: Read these logs, and look for no nginx.
    type: list
    elements: path
    default: []
seealso:
  - module: sre.bad_gateway.observe
"""

EXAMPLES = r"""
- name: Read the last hour of every error log of nginx
  sre.bad_gateway.error_log_facts:
    log_since: 1h

- name: Show which upstreams refused connections
  ansible.builtin.debug:
    msg: "{{ item.endpoint }}: {{ item.count }} times, last at {{ item.last }}"
  loop: "{{ ansible_facts['error_logs'] | map(attribute='events') | flatten }}"
  when: item.signature == 'connect_refused'

- name: Read one log that was copied here
  sre.bad_gateway.error_log_facts:
    paths: [/tmp/error.log]
    log_since: 30d
"""

RETURN = r"""
ansible_facts:
  description: Facts to add to those of the host.
  type: dict
  returned: always
  contains:
    error_logs:
      description: Error logs, each once.
      type: list
      elements: dict
      contains:
        path:
          description: Where nginx writes - a file, V(stderr), or what follows V(syslog:).
          type: str
        level:
          description: The least severe level that is written there, empty when the path was given.
          type: str
        available:
          description: Whether it could be read.
          type: bool
        why:
          description: Why not.
          type: str
        size:
          description: Bytes of the file.
          type: int
        bytes_read:
          description: Bytes that were read, of the file and of what was rotated away from it.
          type: int
        files_read:
          description: Files that were read, newest first.
          type: list
          elements: str
        whole:
          description: Whether all lines of the time that was asked for were read.
          type: bool
        since:
          description: The time of the oldest line that was read, in the host's local time.
          type: str
        lines:
          description: Lines that were read.
          type: int
        unclassified:
          description: Lines about failures of an upstream that fit none of the known messages.
          type: int
        events:
          description: Lines that say the same of the same upstream, the most frequent first.
          type: list
          elements: dict
          contains:
            signature:
              description: What they say, as V(connect_refused), V(timeout_header) or V(no_live_upstreams).
              type: str
            level:
              description: Their level.
              type: str
            errno:
              description: The error number in the message; with V(resolve_failed) the resolver's own code.
              type: int
            upstream:
              description: The server that nginx asked, without the URI.
              type: str
            endpoint:
              description: The same as V(tcp:HOST:PORT) or V(unix:PATH), V(null) for the name of an upstream block.
              type: str
            server:
              description: The first name of the C(server) block.
              type: str
            count:
              description: How many.
              type: int
            first:
              description: When the first was written.
              type: str
            last:
              description: When the last was written.
              type: str
            sample:
              description: One of the lines.
              type: str
            details:
              description: What the message tells beside that, with the number of lines of each.
              type: dict
            subrequests:
              description: How many of them were about a subrequest, as C(auth_request) makes.
              type: int
            writer_ended:
              description: Whether the process that wrote the last does not run any more, as after a reload.
              type: bool
            per_minute:
              description: Lines in each minute, the newest minutes.
              type: dict
    error_logs_missed:
      description: What could not be seen, and why.
      type: list
      elements: dict
      contains:
        what:
          description: What could not be seen.
          type: str
        why:
          description: Why not.
          type: str
  sample:
    error_logs:
      - path: /var/log/nginx/error.log
        level: error
        available: true
        why: ""
        size: 30412
        bytes_read: 81207
        files_read: [/var/log/nginx/error.log, /var/log/nginx/error.log.1]
        whole: true
        since: 2026/11/20 04:12:51
        lines: 341
        unclassified: 0
        events:
          - signature: connect_refused
            level: error
            errno: 111
            upstream: http://127.0.0.1:8000
            endpoint: tcp:127.0.0.1:8000
            server: shop.example
            count: 2
            first: 2026/11/21 03:50:01
            last: 2026/11/21 03:51:40
            sample: >-
              2026/11/21 03:50:01 [error] 972#972: *17 connect() failed (111: Connection refused) while connecting to
              upstream, client: 192.0.2.9, server: shop.example, request: "GET /cart HTTP/1.1",
              upstream: "http://127.0.0.1:8000/cart", host: "shop.example"
            details: {}
            subrequests: 0
            writer_ended: false
            per_minute: {"2026/11/21 03:50": 1, "2026/11/21 03:51": 1}
    error_logs_missed: []
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.sre.bad_gateway.plugins.module_utils._payload import (
    PayloadError,
    compile_once,
    unpack_crossplane,
)

compile_once()

from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._logs._facts import error_log_facts
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._logs._options import (
    LOG_OPTIONS,
    LogOptionError,
    log_window,
)


def main() -> None:
    """Gather the facts."""
    module = AnsibleModule(
        argument_spec={
            "nginx_config": {"type": "path"},
            "paths": {"type": "list", "elements": "path", "default": []},
            **LOG_OPTIONS,
            "_crossplane": {"type": "str", "no_log": True},
        },
        supports_check_mode=True,
    )
    try:
        unpack_crossplane(module.params["_crossplane"], module.tmpdir)
        window = log_window(module.params)
    except (PayloadError, LogOptionError) as error:
        module.fail_json(msg=str(error))
    facts = error_log_facts(module.params["nginx_config"], paths=module.params["paths"], window=window)
    module.exit_json(changed=False, ansible_facts=facts)


if __name__ == "__main__":
    main()
