#!/usr/bin/python
# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation and wiring of sre.bad_gateway.nginx_routes."""

from __future__ import annotations

DOCUMENTATION = r"""
module: nginx_routes
short_description: Make nginx's routes lead where they should, as they should
version_added: 0.1.0
description:
  - Says of any number of routes where they lead, through which upstream block, and with which timeouts, headers,
    buffers and error pages. A route is one C(proxy_pass), C(grpc_pass), C(uwsgi_pass), C(fastcgi_pass) or
    C(scgi_pass); settings are written with that protocol's own directives. All routes change in one transaction, or
    none does.
  - Only the bytes that have to change do. New lines are indented and ended as their neighbours are; comments, quotes
    and everything else stay. Afterwards the files are read again, and have to say exactly what was meant.
  - C(nginx -t) accepts the new files before a live one is touched, in a private mount namespace. Where that is not
    permitted they are written, tested, and put back when nginx refuses them; RV(validated) says which.
  - nginx is reloaded, and every changed route is asked through nginx before and after. When one that answered does
    not any more, everything is put back and the module fails.
  - What goes along with a setting that was asked for, such as inherited headers that have to be repeated, is written
    with its first argument in quotes. By them it is known again when the setting is taken back.
  - Settings are put into the innermost location of the route. What is in force already, inherited too, is not
    repeated.
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
      - The routes to change. What selects a route has to fit exactly one C(*_pass) statement.
      - What is not named is left as it is. Several entries may be about one route.
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
        description: The line of the C(*_pass), or of the C(server) in the upstream block, as a finding names it.
        type: int
      state:
        description:
          - With V(absent) all settings that the entry names are taken back, whatever their values. The entry that
            made a change takes it back, to the byte, when V(absent) is added to it.
          - An upstream block named in O(routes[].upstream.name) is taken out, and the route leads to its address
            again. With several servers in the block O(routes[].pass_to) says to which.
        type: str
        choices: [present, absent]
        default: present
      allow_shared:
        description:
          - Change statements that serve other routes too, because their file is included in several places or because
            several routes share a location. Without it that is refused, unless O(routes[].line) names the statement.
          - An upstream block is meant to be shared and needs no leave.
        type: bool
        default: false
      endpoint:
        description:
          - The address that is wrong, as C(tcp:HOST:PORT) (IPv6 in brackets) or C(unix:/PATH).
          - Needed with O(routes[].pass_to) when the route goes through an upstream block with several servers.
        type: str
      pass_to:
        description:
          - The right address as nginx writes it, without scheme and URI, for example V(127.0.0.1:8000),
            V([::1]:8000), V(app1:8000) or V(unix:/run/x.sock). Scheme, URI part and parameters stay.
          - When the route goes through an upstream block, the C(server) there is corrected.
          - A target with variables is refused, because the address is not all there.
        type: str
      upstream:
        description:
          - The upstream block that the route goes through.
          - When an address gives way to a name, nginx would send that name as C(Host), derive C(proxy_redirect) from
            it and check certificates against it. So what the address gave is written out, unless the route sets it
            itself; a C(Host) in O(routes[].headers) comes first.
        type: dict
        suboptions:
          name:
            description:
              - Brings a block of this name in between the route and its address, above the route's server, or joins
                one that has the same servers.
              - Without it only the block that the route goes through already is changed.
            type: str
          servers:
            description:
              - All servers of the block. Others are taken out, new ones are added.
              - By default the address that the route leads to.
            type: list
            elements: dict
            suboptions:
              address:
                description: The address, as in O(routes[].pass_to). The port can be left out and is 80 then.
                type: str
                required: true
              parameters:
                description:
                  - >-
                    Parameters of this server, for example V({backup: true, weight: 2}). V(true) writes the name alone,
                    V(null) takes a parameter out. Those not named stay.
                type: dict
          server_parameters:
            description:
              - >-
                Parameters of every server in the block, for example V({max_fails: 3, fail_timeout: 10s}).
            type: dict
          keepalive:
            description:
              - Number of idle connections that each worker keeps.
              - Before nginx 1.29.7 that takes HTTP/1.1 and an empty C(Connection) header; both are set on the route
                along with it. A C(Connection) header for websockets stays. For FastCGI C(fastcgi_keep_conn) is set;
                uwsgi and SCGI cannot keep connections.
              - V(0) keeps none, from nginx 1.29.7 on, where connections are kept by default.
            type: int
          keepalive_timeout:
            description:
              - Time after which an idle connection is closed; V(60s) unless set. It has to be below the app server's
                own, else nginx sends requests on connections that are being closed, and answers 502.
              - Before nginx 1.15.3 there is none, and only the app server closes connections.
            type: str
          app_idle_timeout:
            description:
              - Seconds after which the app servers close an idle connection; V(0) when they keep none.
              - By default it is what the settings of the app server on this host say. What only its code tells, as with
                Node.js, and app servers on other hosts are for this option.
              - Keeping connections for as long is refused, and so is O(routes[].upstream.keepalive) where the app
                server closes each connection, as gunicorn does with sync workers. Where nothing is known, a warning
                says so.
            type: int
          keepalive_requests:
            description: Number of requests after which a connection is closed.
            type: int
          zone:
            description: Name and size of the shared memory zone, for example V(shop 64k).
            type: str
          method:
            description:
              - The balancing method with its parameters, for example V(least_conn) or V(hash $request_uri consistent).
            type: str
      timeouts:
        description: C(proxy_connect_timeout) and its like.
        type: dict
        suboptions:
          connect:
            description: Time to connect.
            type: str
          send:
            description: Time between two writes of the request.
            type: str
          read:
            description: Time between two reads of the response.
            type: str
      headers:
        description:
          - Headers of the requests that nginx sends on, by name. V(null) takes one out of the route's location.
          - A level that sets a header inherits none, so the first one of a location brings the inherited ones with
            it. For FastCGI, uwsgi and SCGI the C(HTTP_*) parameter of the header is set.
        type: dict
      http_version:
        description: C(proxy_http_version).
        type: str
        choices: ["1.0", "1.1", "2"]
      next_upstream:
        description: C(proxy_next_upstream) and its like, for example V([error, timeout, http_502]) or V([off]).
        type: list
        elements: str
      buffer_size:
        description:
          - Size of the buffer for the response's header, for example V(16k). The other buffers are set so that nginx
            accepts it.
        type: str
      error_pages:
        description:
          - Answers of nginx itself with status 502, 503 or 504 become JSON for clients that ask for it in C(Accept),
            and HTML for all others, with C(Retry-After). Answers of the app server pass as they are.
        type: dict
        suboptions:
          retry_after:
            description: Seconds.
            type: int
            default: 10
      health_check:
        description:
          - Parameters of C(health_check), for example V(interval=5s uri=/health). The upstream block needs a
            O(routes[].upstream.zone).
          - Only nginx Plus asks its servers by itself. For any other nginx it is left out, and a warning says so.
        type: str
      directives:
        description:
          - Any other directives of the location, by name. A text holds arguments as nginx writes them, a list holds
            one in each element, V(null) takes the directive out.
          - Values are checked and quoted; one that is more than arguments is refused.
        type: dict
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
        headers:
          Host: $host
          X-Real-IP: $remote_addr

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

- name: Keep connections to two app servers, and leave out the one that fails
  sre.bad_gateway.nginx_routes:
    routes:
      - server_name: shop.example.com
        location: /
        upstream:
          name: shop
          servers:
            - address: 10.0.0.11:8000
            - address: 10.0.0.12:8000
              parameters: {weight: 2}
          server_parameters: {max_fails: 3, fail_timeout: 10s}
          method: least_conn
          zone: shop 64k
          keepalive: 32
          keepalive_timeout: 4s
        timeouts: {connect: 5s, read: 60s}
        next_upstream: [error, timeout]

- name: Take that upstream block out again
  sre.bad_gateway.nginx_routes:
    routes:
      - server_name: shop.example.com
        location: /
        state: absent
        upstream:
          name: shop
        pass_to: 10.0.0.11:8000

- name: Close idle connections earlier on the upstream block that a finding names
  sre.bad_gateway.nginx_routes:
    routes:
      - file: /etc/nginx/conf.d/blog.conf
        line: 12
        upstream:
          keepalive_timeout: 4s

- name: Large headers, pages that API clients understand, and no buffering
  sre.bad_gateway.nginx_routes:
    routes:
      - server_name: api.example.com
        location: /v1/
        buffer_size: 16k
        error_pages: {retry_after: 30}
        directives:
          proxy_buffering: false
          proxy_next_upstream_tries: 2

- name: Take the timeouts of a route back
  sre.bad_gateway.nginx_routes:
    routes:
      - server_name: api.example.com
        location: /v1/
        state: absent
        timeouts: {connect: 5s, read: 60s}
"""

RETURN = r"""
changes:
  description:
    - What was changed, or would be in check mode, one line for each statement, with C(+) before a new one and C(-)
      before one that went.
  type: list
  elements: str
  returned: success
  sample:
    - "/etc/nginx/conf.d/shop.conf:6: http://127.0.0.1:8001/ -> http://127.0.0.1:8000/"
    - "/etc/nginx/conf.d/shop.conf:6: + proxy_read_timeout 60s"
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

from ansible_collections.sre.bad_gateway.plugins.module_utils._payload import (
    PayloadError,
    compile_once,
    unpack_crossplane,
)

compile_once()

from ansible_collections.sre.bad_gateway.plugins.module_utils._change._app_servers import AppServers
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._errors import ChangeError
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._instances import nginx_instances
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._routes._change_routes import change_routes
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._routes._entry import entry_of

_UPSTREAM = {
    "name": {"type": "str"},
    "servers": {
        "type": "list",
        "elements": "dict",
        "options": {"address": {"type": "str", "required": True}, "parameters": {"type": "dict"}},
    },
    "server_parameters": {"type": "dict"},
    "keepalive": {"type": "int", "no_log": False},
    "keepalive_timeout": {"type": "str", "no_log": False},
    "keepalive_requests": {"type": "int", "no_log": False},
    "app_idle_timeout": {"type": "int"},
    "zone": {"type": "str"},
    "method": {"type": "str"},
}
_ROUTE = {
    "server_name": {"type": "str"},
    "listen": {"type": "str"},
    "location": {"type": "str"},
    "file": {"type": "path"},
    "line": {"type": "int"},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "allow_shared": {"type": "bool", "default": False},
    "endpoint": {"type": "str"},
    "pass_to": {"type": "str", "no_log": False},
    "upstream": {"type": "dict", "options": _UPSTREAM},
    "timeouts": {
        "type": "dict",
        "options": {"connect": {"type": "str"}, "send": {"type": "str"}, "read": {"type": "str"}},
    },
    "headers": {"type": "dict"},
    "http_version": {"type": "str", "choices": ["1.0", "1.1", "2"]},
    "next_upstream": {"type": "list", "elements": "str"},
    "buffer_size": {"type": "str"},
    "error_pages": {"type": "dict", "options": {"retry_after": {"type": "int", "default": 10}}},
    "health_check": {"type": "str"},
    "directives": {"type": "dict"},
}


def main() -> None:
    """Wire the module's arguments to the change and its outcome to the result."""
    module = AnsibleModule(
        argument_spec={
            "routes": {"type": "list", "elements": "dict", "required": True, "options": _ROUTE},
            "nginx_config": {"type": "path"},
            "run_id": {"type": "str", "default": ""},
            "_crossplane": {"type": "str", "no_log": True},
        },
        supports_check_mode=True,
    )
    try:
        unpack_crossplane(module.params["_crossplane"], module.tmpdir)
        result = change_routes(
            nginx_instances(module.params["nginx_config"]),
            [entry_of(route) for route in module.params["routes"]],
            check_mode=module.check_mode,
            run_id=module.params["run_id"],
            apps=AppServers(),
        )
    except (ChangeError, PayloadError) as error:
        module.fail_json(msg=str(error))
    for warning in result.warnings:
        module.warn(warning)
    module.exit_json(**result.as_dict(diff=module._diff))


if __name__ == "__main__":
    main()
