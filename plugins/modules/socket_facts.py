#!/usr/bin/python
# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation and wiring of sre.bad_gateway.socket_facts."""

from __future__ import annotations

DOCUMENTATION = r"""
module: socket_facts
short_description: Find listening sockets with their processes, units and queues, and look at socket files
version_added: 0.1.0
description:
  - Finds every TCP and unix socket that listens on a host, with the process and the systemd unit that hold it, the
    length of its queue and how many connections wait there now.
  - Tells of a unix socket what is at its path, so that a socket whose file was deleted or replaced while its server
    still listens can be told from one that works.
  - Tells of every path in O(paths) what is there, whether anything listens, and which unit sees a file there in its
    private C(/tmp) though the host does not.
  - Reads from the kernel and runs neither C(ss) nor C(netstat). Listeners of app servers in other network namespaces
    are among them, marked as such.
author:
  - Contributors to the sre.bad_gateway project (@sre-bad-gateway)
extends_documentation_fragment:
  - sre.bad_gateway._attributes
  - sre.bad_gateway._attributes.no_diff
notes:
  - Without root the module sees less of other users' processes, and says so in RV(ansible_facts.sockets_missed).
options:
  paths:
    description: Paths of unix sockets to look at.
    type: list
    elements: path
    default: []
seealso:
  - module: sre.bad_gateway.app_server_facts
  - module: sre.bad_gateway.observe
"""

EXAMPLES = r"""
- name: Find out who listens, and what is at the path that nginx connects to
  sre.bad_gateway.socket_facts:
    paths:
      - /run/shop/app.sock

- name: Insist that something listens there
  ansible.builtin.assert:
    that: ansible_facts['sockets'].files[0].listening
    fail_msg: "{{ ansible_facts['sockets'].files[0] }}"

- name: Show queues that are full
  ansible.builtin.debug:
    msg: "{{ item.unit }}: {{ item.queued }} of {{ item.backlog }} at {{ item.address }}"
  loop: "{{ ansible_facts['sockets'].listeners | selectattr('backlog', 'ne', none) }}"
  loop_control:
    label: "{{ item.address }}"
  when: item.queued > item.backlog
"""

RETURN = r"""
ansible_facts:
  description: Facts to add to those of the host.
  type: dict
  returned: always
  contains:
    sockets:
      description: Listening sockets and socket files.
      type: dict
      contains:
        listeners:
          description: Every listening TCP and unix socket. What could not be read of one is V(null).
          type: list
          elements: dict
          contains:
            transport:
              description: V(tcp) or V(unix).
              type: str
            address:
              description: The IP address, or the path. An abstract unix socket begins with V(@).
              type: str
            port:
              description: The TCP port.
              type: int
            inode:
              description: The kernel's number of the socket.
              type: int
            pid:
              description: The lowest process id that holds it.
              type: int
            process:
              description: The name of that process.
              type: str
            unit:
              description: The systemd unit of that process.
              type: str
            backlog:
              description: How many connections may wait.
              type: int
            queued:
              description: How many wait now.
              type: int
            network_namespace:
              description: Where it listens, empty for the host's own.
              type: str
            file_exists:
              description: Whether anything is at the path of a unix socket.
              type: bool
            file_is_this_socket:
              description: Whether that is the file of this very socket.
              type: bool
            file_mode:
              description: Its mode.
              type: str
            file_owner:
              description: Its user and group.
              type: str
        files:
          description: What is at each of O(paths).
          type: list
          elements: dict
          contains:
            path:
              description: The path.
              type: str
            exists:
              description: Whether anything is there.
              type: bool
            is_socket:
              description: Whether that is a socket.
              type: bool
            listening:
              description: Whether a process listens on a socket of that path.
              type: bool
            mode:
              description: The mode of the file.
              type: str
            owner:
              description: The user and group of the file.
              type: str
            missing_parent:
              description: The topmost directory on the way that does not exist.
              type: str
            seen_by:
              description: Units that see a file at that path, though the host has none.
              type: list
              elements: str
    sockets_missed:
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
    sockets:
      listeners:
        - transport: unix
          address: /run/shop/app.sock
          port: null
          inode: 181752
          pid: 812
          process: gunicorn
          unit: shop.service
          backlog: 2048
          queued: 0
          network_namespace: ""
          file_exists: true
          file_is_this_socket: true
          file_mode: "0660"
          file_owner: shop:www-data
      files:
        - path: /run/shop/app.sock
          exists: true
          is_socket: true
          listening: true
          mode: "0660"
          owner: shop:www-data
          missing_parent: null
          seen_by: []
    sockets_missed: []
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.sre.bad_gateway.plugins.module_utils._payload import compile_once

compile_once()

from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._socket_facts import socket_facts


def main() -> None:
    """Gather the facts."""
    module = AnsibleModule(
        argument_spec={"paths": {"type": "list", "elements": "path", "default": []}}, supports_check_mode=True
    )
    module.exit_json(changed=False, ansible_facts=socket_facts(module.params["paths"]))


if __name__ == "__main__":
    main()
