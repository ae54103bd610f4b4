#!/usr/bin/python
# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation and wiring of sre.bad_gateway.nginx_routes."""

from __future__ import annotations

DOCUMENTATION = r"""
module: nginx_routes
short_description: Point nginx's routes at where their app server listens
version_added: 0.1.0
description:
  - Corrects the address in C(proxy_pass), C(grpc_pass), C(uwsgi_pass), C(fastcgi_pass) and C(scgi_pass), or in the
    C(server) of the upstream block that the route goes through. Scheme, URI part, parameters and all other bytes of the
    files stay.
  - C(nginx -t) accepts the new files before a live one is touched, in a private mount namespace. Where that is not
    permitted they are written, tested, and put back when nginx refuses them; RV(validated) says which.
  - nginx is reloaded, and every changed route is asked through nginx before and after. When one that answered does not
    any more, everything is put back and the module fails.
author:
  - Contributors to the sre.bad_gateway project (@sre-bad-gateway)
extends_documentation_fragment:
  - sre.bad_gateway._attributes
  - sre.bad_gateway._attributes.diff
  - sre.bad_gateway._crossplane
  - sre.bad_gateway._run_id
options:
  routes:
    description:
      - The routes to correct, all or none. What selects a route has to fit exactly one C(*_pass) statement.
    type: list
    elements: dict
    required: true
    suboptions:
      server_name:
        description: One of the server's names, as written.
        type: str
      listen:
        description: One of the server's C(listen) arguments, as written; the address alone is enough.
        type: str
      location:
        description: The innermost location, as written, for example V(/), V(= /x) or V(~ \\.php$).
        type: str
      file:
        description: The file of the statement. With O(routes[].line) it selects a route without naming its server.
        type: path
      line:
        description: The line of the C(*_pass), or of the C(server) in the upstream block.
        type: int
      endpoint:
        description:
          - The address that is wrong, as C(tcp:HOST:PORT) (IPv6 in brackets) or C(unix:/PATH).
          - Needed when the route goes through an upstream block with several servers.
        type: str
      pass_to:
        description:
          - The right address as nginx writes it, without scheme and URI, for example V(127.0.0.1:8000), V([::1]:8000),
            V(app1:8000) or V(unix:/run/x.sock).
        type: str
        required: true
  nginx_config:
    description:
      - Main configuration file of the one nginx to change.
      - By default the nginx that has the route is found.
    type: path
seealso:
  - module: sre.bad_gateway.observe
  - module: sre.bad_gateway.service_listening
  - module: sre.bad_gateway.rollback
"""

EXAMPLES = r"""
- name: The shop's app server listens on port 8000
  sre.bad_gateway.nginx_routes:
    routes:
      - server_name: shop.example.com
        location: /
        pass_to: 127.0.0.1:8000

- name: One server of an upstream block has moved to a unix socket
  sre.bad_gateway.nginx_routes:
    routes:
      - server_name: blog.example.com
        location: /
        endpoint: tcp:127.0.0.1:8001
        pass_to: unix:/run/blog/blog.sock
  register: blog

- name: Say what was done
  ansible.builtin.debug:
    msg: "{{ blog.changes | join(', ') }}"
"""

RETURN = r"""
changes:
  description: What was changed, or would be in check mode, one line for each statement.
  type: list
  elements: str
  returned: success
  sample: ["/etc/nginx/conf.d/shop.conf:6: http://127.0.0.1:8001/ -> http://127.0.0.1:8000/"]
recovered:
  description: Changes that were killed in the middle and were taken back before this one, or would be in check mode.
  type: list
  elements: str
  returned: success
  sample: []
files:
  description: The files that were changed, or would be in check mode.
  type: list
  elements: str
  returned: success
  sample: [/etc/nginx/conf.d/shop.conf]
validated:
  description:
    - Where C(nginx -t) accepted the new files. V(namespace) is before they were written, V(in place) afterwards.
    - V(no) when nothing had to change, or in check mode where a private mount namespace is not permitted.
  type: str
  returned: success
  choices: [namespace, in place, "no"]
  sample: namespace
validated_why:
  description: Why it was not in a namespace; empty when it was.
  type: str
  returned: success
  sample: "[Errno 1] unshare: Operation not permitted"
reloaded:
  description: Whether nginx was reloaded. V(false) when it does not run, when nothing had to change, and in check mode.
  type: bool
  returned: success
  sample: true
worse:
  description: The routes that answered before and did not afterwards, for which everything was put back.
  type: list
  elements: str
  returned: when the change was taken back for them
  sample: ["shop.example.com / (/etc/nginx/conf.d/shop.conf:6)"]
verified:
  description: What nginx answered on every changed route. Empty in check mode and when nginx does not run.
  type: list
  elements: dict
  returned: success
  contains:
    route:
      description: Server name, location, file and line.
      type: str
      sample: shop.example.com / (/etc/nginx/conf.d/shop.conf:6)
    before:
      description: The answer before the change.
      type: dict
      contains: &answer
        status:
          description: HTTP status; V(null) when none came back or the route cannot be asked.
          type: int
          sample: 502
        detail:
          description: Why there is no status.
          type: str
          sample: ""
    after:
      description: The answer after the change.
      type: dict
      contains: *answer
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.sre.bad_gateway.plugins.module_utils._change._correct_routes import correct_routes
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._errors import ChangeError, WorseError
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._instances import nginx_instances
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._routes_change import Correction
from ansible_collections.sre.bad_gateway.plugins.module_utils._payload import PayloadError, unpack_crossplane


def main() -> None:
    """Wire the module's arguments to the change and its outcome to the result."""
    module = AnsibleModule(
        argument_spec={
            "routes": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "server_name": {"type": "str"},
                    "listen": {"type": "str"},
                    "location": {"type": "str"},
                    "file": {"type": "path"},
                    "line": {"type": "int"},
                    "endpoint": {"type": "str"},
                    "pass_to": {"type": "str", "required": True, "no_log": False},
                },
            },
            "nginx_config": {"type": "path"},
            "run_id": {"type": "str", "default": ""},
            "_crossplane": {"type": "str", "no_log": True},
        },
        supports_check_mode=True,
    )
    try:
        unpack_crossplane(module.params["_crossplane"], module.tmpdir)
        result = correct_routes(
            nginx_instances(module.params["nginx_config"]),
            [Correction(**route) for route in module.params["routes"]],
            check_mode=module.check_mode,
            run_id=module.params["run_id"],
        )
    except WorseError as error:
        module.fail_json(msg=str(error), worse=error.worse)
    except (ChangeError, PayloadError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result.as_dict(diff=module._diff))


if __name__ == "__main__":
    main()
