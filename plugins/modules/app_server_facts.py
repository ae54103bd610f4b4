#!/usr/bin/python
# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation and wiring of sre.bad_gateway.app_server_facts."""

from __future__ import annotations

DOCUMENTATION = r"""
module: app_server_facts
short_description: Find app servers, their settings in force and what they have to work with
version_added: 0.1.0
description:
  - Finds every gunicorn, uWSGI, Node.js, uvicorn, PHP-FPM and puma of a host, and every other program that listens and
    is no known daemon, whether it runs or only a systemd unit should start it.
  - Tells for each of them where it should listen and where it does, its settings in force by its own order of
    precedence, with the place that each comes from, and what it has to work with - CPUs left by cgroups and affinity,
    memory, open files.
  - Settings files are read as data and never executed, and no app server is run to ask it. What only running it would
    tell is V(null), and RV(ansible_facts.app_servers[].settings_known) is then V(false).
author:
  - Contributors to the sre.bad_gateway project (@sre-bad-gateway)
extends_documentation_fragment:
  - sre.bad_gateway._attributes
  - sre.bad_gateway._attributes.no_diff
notes:
  - Without root the module sees less of other users' processes, and says so in RV(ansible_facts.app_servers_missed).
seealso:
  - module: sre.bad_gateway.observe
"""

EXAMPLES = r"""
- name: Find the app servers
  sre.bad_gateway.app_server_facts:

- name: Show those with more workers than two for each CPU, and one
  ansible.builtin.debug:
    msg: "{{ item.unit }} runs {{ item.capacity.workers_running }} workers on {{ item.capacity.cpus }} CPUs"
  loop: "{{ ansible_facts['app_servers'] | selectattr('capacity.cpus', 'ne', none) }}"
  loop_control:
    label: "{{ item.unit }}"
  when: item.capacity.workers_running > 2 * item.capacity.cpus + 1
"""

RETURN = r"""
ansible_facts:
  description: Facts to add to those of the host.
  type: dict
  returned: always
  contains:
    app_servers:
      description: App servers, running or not.
      type: list
      elements: dict
      contains:
        kind:
          description: V(gunicorn), V(uwsgi), V(node), V(uvicorn), V(php-fpm), V(puma) or V(other).
          type: str
        unit:
          description: The systemd unit that starts it, V(null) when none does by itself.
          type: str
        pids:
          description: Its processes. Empty when it does not run.
          type: list
          elements: int
        running_since:
          description: When its master was started, by the host's clock. Empty when that is not known.
          type: str
        version:
          description: Its version, empty when it cannot be told without running it.
          type: str
        binds:
          description: Where its settings say that it listens, as V(tcp:HOST:PORT) or V(unix:PATH).
          type: list
          elements: str
        binds_known:
          description: Whether these are all of them.
          type: bool
        binds_from:
          description: Where that is set - a file, V(ExecStart), V(command line), a variable, or V(default).
          type: str
        listens:
          description: Where its processes listen now.
          type: list
          elements: str
        settings:
          description:
            - Settings in force. Beside those with the app server's own names every kind has C(workers), C(threads),
              C(concurrency) (requests served at once), C(backlog), C(idle_timeout) (seconds that an idle connection is
              kept, 0 when none is) and C(request_timeout) (seconds until a request or its worker is ended, 0 for
              never), V(null) where they are not known.
            - PHP-FPM has these for each pool in C(pools) too.
            - C(started_by) names the process that started one that no unit starts.
          type: dict
        settings_from:
          description: Where each of the settings is set, as in RV(ansible_facts.app_servers[].binds_from).
          type: dict
        settings_known:
          description: Whether all of them could be read.
          type: bool
        capacity:
          description: What it has to work with. V(null) for what could not be read, or when it does not run.
          type: dict
          contains:
            workers_running:
              description: Processes below the master.
              type: int
            cpus:
              description: CPUs left by the quotas of its cgroups and by its affinity.
              type: float
            memory_limit:
              description: Bytes, the tightest limit of its cgroups. V(null) also when there is none.
              type: int
            memory_current:
              description: Bytes in use by its cgroup.
              type: int
            memory_per_worker:
              description: Bytes, the mean of its workers. What they share is divided between them where that shows.
              type: int
            oom_kills:
              description: How often the kernel killed a process of its cgroup for want of memory.
              type: int
            open_files_limit:
              description: How many files one of its processes may hold open.
              type: int
            open_files:
              description: The most that one of them holds open.
              type: int
    app_servers_missed:
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
    app_servers:
      - kind: gunicorn
        unit: shop.service
        pids: [812, 815, 816]
        running_since: 2026/11/21 03:00:00
        version: 20.1.0
        binds: ["unix:/run/shop/app.sock"]
        binds_known: true
        binds_from: ExecStart
        listens: ["unix:/run/shop/app.sock"]
        settings:
          workers: 2
          threads: 1
          concurrency: 2
          backlog: 2048
          idle_timeout: 0
          request_timeout: 60
          worker_class: sync
          timeout: 60
        settings_from:
          workers: GUNICORN_CMD_ARGS
          timeout: /srv/shop/gunicorn.conf.py
          worker_class: default
        settings_known: true
        capacity:
          workers_running: 2
          cpus: 1.5
          memory_limit: 536870912
          memory_current: 61865984
          memory_per_worker: 15204352
          oom_kills: 0
          open_files_limit: 1024
          open_files: 12
    app_servers_missed: []
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.sre.bad_gateway.plugins.module_utils._payload import compile_once

compile_once()

from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._app_servers._facts import app_server_facts


def main() -> None:
    """Gather the facts."""
    module = AnsibleModule(argument_spec={}, supports_check_mode=True)
    module.exit_json(changed=False, ansible_facts=app_server_facts())


if __name__ == "__main__":
    main()
