#!/usr/bin/python
# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation and wiring of sre.bad_gateway.upstream_facts."""

from __future__ import annotations

DOCUMENTATION = r"""
module: upstream_facts
short_description: Find where nginx leads, and ask there as nginx would
version_added: 0.1.0
description:
  - Finds every C(upstream) block of every nginx of a host, and every address that a route leads to, through a block or
    without one.
  - Resolves host names and connects as nginx's workers do, as their user and groups and inside the mount and network
    namespaces of nginx, and sends one small request in the route's own protocol. RV(ansible_facts.upstreams_missed)
    says where that was not permitted.
  - All look-ups of names together, and all connections together, take five seconds at most.
author:
  - Contributors to the sre.bad_gateway project (@sre-bad-gateway)
extends_documentation_fragment:
  - sre.bad_gateway._attributes
  - sre.bad_gateway._attributes.no_diff
  - sre.bad_gateway._crossplane
notes:
  - As every C(nginx -t) run by root does, the test of the configuration creates log files that it names and that are
    missing.
options:
  nginx_config:
    description: Look only at the nginx with this main configuration file.
    type: path
  probe:
    description:
      - What to do with every endpoint.
      - V(request) connects and sends one small request in the route's protocol.
      - V(connect) only connects.
      - V(none) does not connect.
    type: str
    choices: [none, connect, request]
    default: request
seealso:
  - module: sre.bad_gateway.nginx_config_facts
  - module: sre.bad_gateway.observe
"""

EXAMPLES = r"""
- name: Ask every upstream as nginx would
  sre.bad_gateway.upstream_facts:

- name: Insist that all of them answer
  ansible.builtin.assert:
    that: item.probes | map(attribute='outcome') | unique | list == ['answered']
    fail_msg: "{{ item.key }}: {{ item.probes }}"
  loop: "{{ ansible_facts['upstreams'].endpoints }}"
  loop_control:
    label: "{{ item.key }}"
"""

RETURN = r"""
ansible_facts:
  description: Facts to add to those of the host.
  type: dict
  returned: always
  contains:
    upstreams:
      description: Upstream blocks and endpoints.
      type: dict
      contains:
        blocks:
          description: Every C(upstream) block.
          type: list
          elements: dict
          contains:
            nginx:
              description: The nginx that has it, as in M(sre.bad_gateway.nginx_config_facts).
              type: str
            name:
              description: Its name.
              type: str
            servers:
              description: Its servers, each with C(address), C(endpoint), C(parameters), C(file) and C(line).
              type: list
              elements: dict
            directives:
              description: Its other directives with their arguments.
              type: list
              elements: list
            file:
              description: The file where it is written.
              type: str
            line:
              description: The line.
              type: int
        endpoints:
          description: Every address that a route leads to, once for each protocol spoken there.
          type: list
          elements: dict
          contains:
            key:
              description: C(tcp:HOST:PORT) or C(unix:PATH).
              type: str
            transport:
              description: V(tcp) or V(unix).
              type: str
            host:
              description: The host as it is written.
              type: str
            port:
              description: The TCP port.
              type: int
            path:
              description: The path of a unix socket.
              type: str
            protocol:
              description: What nginx speaks there.
              type: str
            addresses:
              description: What the host resolves to.
              type: list
              elements: str
            resolve_error:
              description: Why the name did not resolve.
              type: str
            written_at:
              description: Every C(file) and C(line) that names it.
              type: list
              elements: dict
            probes:
              description: One connection to each of its addresses, from each nginx. Empty with O(probe=none).
              type: list
              elements: dict
              contains:
                address:
                  description: The address tried.
                  type: str
                outcome:
                  description: V(answered), V(connected), V(refused), V(missing), V(denied), V(timeout) and so on.
                  type: str
                phase:
                  description: How far it came, one of V(resolve), V(connect), V(tls), V(send), V(read).
                  type: str
                errno:
                  description: The number of the error.
                  type: int
                detail:
                  description: The first line of the answer, or what went wrong.
                  type: str
                status:
                  description: The HTTP status that came back.
                  type: int
                speaks:
                  description: What the other side speaks where that is not the protocol.
                  type: str
                instance:
                  description: The nginx as whose worker it was made.
                  type: str
                user:
                  description: The user that connected.
                  type: str
                as_nginx:
                  description: Whether it was made as nginx's worker would make it.
                  type: bool
                milliseconds:
                  description: How long it took.
                  type: int
    upstreams_missed:
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
    upstreams:
      blocks:
        - nginx: nginx
          name: shop
          servers:
            - address: 127.0.0.1:8000
              endpoint: tcp:127.0.0.1:8000
              parameters: [max_fails=3]
              file: /etc/nginx/conf.d/shop.conf
              line: 2
          directives: [[keepalive, "32"]]
          file: /etc/nginx/conf.d/shop.conf
          line: 1
      endpoints:
        - key: tcp:127.0.0.1:8000
          transport: tcp
          host: 127.0.0.1
          port: 8000
          path: null
          protocol: http
          addresses: [127.0.0.1]
          resolve_error: null
          written_at:
            - {file: /etc/nginx/conf.d/shop.conf, line: 2}
          probes:
            - address: 127.0.0.1:8000
              outcome: answered
              phase: read
              errno: null
              detail: HTTP/1.1 200 OK
              status: 200
              speaks: null
              instance: nginx
              user: www-data
              as_nginx: true
              milliseconds: 3
    upstreams_missed: []
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.sre.bad_gateway.plugins.module_utils._payload import (
    PayloadError,
    compile_once,
    unpack_crossplane,
)

compile_once()

from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._nginx_facts import upstream_facts


def main() -> None:
    """Gather the facts."""
    module = AnsibleModule(
        argument_spec={
            "nginx_config": {"type": "path"},
            "probe": {"type": "str", "choices": ["none", "connect", "request"], "default": "request"},
            "_crossplane": {"type": "str", "no_log": True},
        },
        supports_check_mode=True,
    )
    try:
        unpack_crossplane(module.params["_crossplane"], module.tmpdir)
    except PayloadError as error:
        module.fail_json(msg=str(error))
    facts = upstream_facts(module.params["nginx_config"], probe=module.params["probe"])
    module.exit_json(changed=False, ansible_facts=facts)


if __name__ == "__main__":
    main()
