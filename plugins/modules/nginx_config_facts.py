#!/usr/bin/python
# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation and wiring of sre.bad_gateway.nginx_config_facts."""

from __future__ import annotations

DOCUMENTATION = r"""
module: nginx_config_facts
short_description: Read what nginx's configuration says about its upstreams
version_added: 0.1.0
description:
  - Finds every nginx of a host and reads its whole configuration, includes followed, as nginx itself does.
  - Tells of every C(proxy_pass), C(uwsgi_pass), C(fastcgi_pass), C(grpc_pass) and C(scgi_pass) in force which server
    and location it serves, where it leads, where it is written, and which directives hold there - timeouts, headers,
    buffers and the like are inherited from the levels above exactly as nginx inherits them.
  - Runs C(nginx -t), tells where the logs go, and whether a file is newer than the workers that run.
  - Returns no file as a whole. Credentials in addresses and headers are removed before the facts leave the host.
author:
  - Contributors to the sre.bad_gateway project (@sre-bad-gateway)
extends_documentation_fragment:
  - sre.bad_gateway._attributes
  - sre.bad_gateway._attributes.no_diff
  - sre.bad_gateway._crossplane
notes:
  - As every C(nginx -t) run by root does, the test creates log files that the configuration names and that are missing.
options:
  nginx_config:
    description:
      - Read only the nginx with this main configuration file.
      - Without it every nginx is read that runs, that a systemd unit starts, or, where there is neither, that is found
        on C(PATH).
    type: path
seealso:
  - module: sre.bad_gateway.upstream_facts
  - module: sre.bad_gateway.observe
"""

EXAMPLES = r"""
- name: Read the configuration of every nginx
  sre.bad_gateway.nginx_config_facts:

- name: Insist that nginx would accept its files
  ansible.builtin.assert:
    that: ansible_facts['nginx'] | rejectattr('test.ok') | length == 0
    fail_msg: "{{ ansible_facts['nginx'] | map(attribute='test.messages') }}"

- name: Show how long nginx waits for each route
  ansible.builtin.debug:
    msg: "{{ item.id }}: {{ item.settings.proxy_read_timeout | default([['60s']]) | first | first }}"
  loop: "{{ ansible_facts['nginx'] | map(attribute='routes') | flatten }}"
  loop_control:
    label: "{{ item.id }}"
"""

RETURN = r"""
ansible_facts:
  description: Facts to add to those of the host.
  type: dict
  returned: always
  contains:
    nginx:
      description: Every nginx of the host.
      type: list
      elements: dict
      contains:
        id:
          description: V(nginx), or V(nginx@FILE) where there are several.
          type: str
        running:
          description: Whether it runs.
          type: bool
        pid:
          description: The process id of its master.
          type: int
        binary:
          description: Its program.
          type: str
        version:
          description: Its version, empty when it could not be asked.
          type: str
        flavour:
          description: V(nginx), V(openresty), V(plus), V(angie) or V(tengine).
          type: str
        config:
          description: Its main file.
          type: str
        prefix:
          description: The directory that relative paths begin at.
          type: str
        user:
          description: The user of its workers.
          type: str
        unit:
          description: Its systemd unit.
          type: str
        config_readable:
          description: Whether all of the configuration could be read.
          type: bool
        config_errors:
          description: What could not be read of it, and where.
          type: list
          elements: dict
        test:
          description: What C(nginx -t) said.
          type: dict
          contains:
            ran:
              description: Whether it could be run.
              type: bool
            ok:
              description: Whether nginx accepts the files.
              type: bool
            why:
              description: Why it could not be run.
              type: str
            messages:
              description: Its messages, each with C(level), C(message), C(file) and C(line).
              type: list
              elements: dict
        files:
          description: Every file of the configuration.
          type: list
          elements: str
        routes:
          description: Every C(*_pass) in force.
          type: list
          elements: dict
          contains:
            id:
              description: Server name and location.
              type: str
            server_names:
              description: The names of its server.
              type: list
              elements: str
            listen:
              description: Where its server listens.
              type: list
              elements: str
            location:
              description: Its location.
              type: str
            directive:
              description: The directive.
              type: str
            target:
              description: The argument of the directive.
              type: str
            upstream:
              description: The upstream block that it goes through.
              type: str
            endpoints:
              description: Where it ends, as C(tcp:HOST:PORT) or C(unix:PATH).
              type: list
              elements: str
            variables:
              description: Whether the argument holds variables, so that only nginx knows where it leads.
              type: bool
            settings:
              description: >-
                The directives that hold there and matter to upstreams, by name. Each has a list of its occurrences, and
                each of these the list of its arguments. What is left at its default is absent.
              type: dict
            file:
              description: The file where it is written.
              type: str
            line:
              description: The line.
              type: int
        upstreams:
          description: Every upstream block, as M(sre.bad_gateway.upstream_facts) describes it.
          type: list
          elements: dict
        settings:
          description: As the settings of a route, for the whole nginx.
          type: dict
        statuses:
          description: Places that answer with a status from 500 to 504 themselves, or keep such an answer.
          type: list
          elements: dict
        error_logs:
          description: Every error log with its level, and where it is configured.
          type: list
          elements: dict
        access_logs:
          description: Every access log with its format, and where it is configured.
          type: list
          elements: dict
        open_files_limit:
          description: How many files a worker may open.
          type: int
        open_files:
          description: The most that a worker has open now.
          type: int
        workers_since:
          description: When its workers read the configuration, in the host's local time.
          type: str
        runs_as_configured:
          description: V(false) when a file is newer than the workers, V(null) when that is not known.
          type: bool
    nginx_missed:
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
    nginx:
      - id: nginx
        running: true
        pid: 611
        binary: /usr/sbin/nginx
        version: 1.22.1
        flavour: nginx
        config: /etc/nginx/nginx.conf
        prefix: /usr/share/nginx
        user: www-data
        unit: nginx.service
        config_readable: true
        config_errors: []
        test: {ran: true, ok: true, why: "", messages: []}
        files: [/etc/nginx/nginx.conf, /etc/nginx/sites-enabled/shop]
        routes:
          - id: shop.example:80 /
            server_names: [shop.example]
            listen: ["80"]
            location: /
            directive: proxy_pass
            target: http://shop
            upstream: shop
            endpoints: ["tcp:127.0.0.1:8000"]
            variables: false
            settings:
              proxy_read_timeout: [["60s"]]
              proxy_set_header: [[Host, $host], [X-Real-IP, $remote_addr]]
            file: /etc/nginx/sites-enabled/shop
            line: 12
        upstreams: []
        settings:
          worker_connections: [["768"]]
        statuses: []
        error_logs:
          - {destination: /var/log/nginx/error.log, level: error, file: /etc/nginx/nginx.conf, line: 4}
        access_logs: []
        open_files_limit: 1024
        open_files: 12
        workers_since: "2026/11/21 03:00:00"
        runs_as_configured: true
    nginx_missed: []
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.sre.bad_gateway.plugins.module_utils._payload import (
    PayloadError,
    compile_once,
    unpack_crossplane,
)

compile_once()

from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._nginx_facts import nginx_config_facts


def main() -> None:
    """Gather the facts."""
    module = AnsibleModule(
        argument_spec={"nginx_config": {"type": "path"}, "_crossplane": {"type": "str", "no_log": True}},
        supports_check_mode=True,
    )
    try:
        unpack_crossplane(module.params["_crossplane"], module.tmpdir)
    except PayloadError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, ansible_facts=nginx_config_facts(module.params["nginx_config"]))


if __name__ == "__main__":
    main()
