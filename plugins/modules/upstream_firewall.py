#!/usr/bin/python
# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation and wiring of sre.bad_gateway.upstream_firewall."""

from __future__ import annotations

DOCUMENTATION = r"""
module: upstream_firewall
short_description: Let nginx through a host's packet filter, to one port
version_added: 0.1.0
description:
  - Inserts a rule that accepts new TCP connections to one port from one address or network, before the rules that stop
    them. Rules of others are neither changed nor removed, and nothing is ever flushed.
  - The packet filter is read first. Where nothing stops such connections, no rule is added. Where several chains do,
    each gets the rule.
  - A systemd unit of its own keeps each rule, C(bad-gateway-accept-in-PORT-SOURCE.service). Its start inserts the rule,
    its stop removes it, and it comes along whenever the service that loads the tool's rules is restarted or reloaded.
    Where rules are loaded in another way, ours is gone until the unit is restarted; this module does that.
  - ufw and firewalld keep the rule themselves, and the unit only puts it there. With ufw it is the first rule of
    C(ufw status). firewalld gets it in every zone at once, and a policy in C(/etc/firewalld/policies) that has it from
    the next reload on; nothing is reloaded.
  - With ufw, where a rule of somebody else's is for just the same connections, nothing is done and the error says so.
    ufw takes no second one.
  - The comment of a rule begins with C(sre.bad_gateway). The policy of firewalld has it as its short name.
  - Where the connection is still stopped afterwards, the rule is taken back, and the error names the chain.
  - nftables, iptables, ufw 0.36 and firewalld 1.3 and 2.3 are tested on Debian 12 and 13.
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
  allow:
    description: What is accepted. Each takes either O(allow[].source) or O(allow[].destination).
    type: list
    elements: dict
    default: []
    suboptions:
      port:
        description: The port that the app server listens on.
        type: int
        required: true
      source:
        description: On the app server's host - the address or network that connections come from.
        type: str
      destination:
        description:
          - On nginx's host - the address or network that connections go to, where that host filters what it sends.
            firewalld takes none, only a policy of yours can have stopped them.
        type: str
      interface:
        description:
          - The network interface by which they come or leave. By default any; loopback addresses belong to C(lo).
            firewalld takes none, it has zones.
        type: str
  tool:
    description:
      - Which tool the rule is made with. V(auto) takes ufw or firewalld where the host runs one of these, else the tool
        of every chain that stops the connection.
    type: str
    choices: [auto, nftables, iptables, ufw, firewalld]
    default: auto
  state:
    description: V(absent) removes the rules in O(allow) that this module made.
    type: str
    choices: [present, absent]
    default: present
seealso:
  - module: sre.bad_gateway.verify
  - module: sre.bad_gateway.rollback
"""

EXAMPLES = r"""
- name: Let nginx reach the app server
  sre.bad_gateway.upstream_firewall:
    allow:
      - port: 8000
        source: 10.0.0.1

- name: Let nginx's own host send to it
  sre.bad_gateway.upstream_firewall:
    allow:
      - port: 8000
        destination: 10.0.0.2
"""

RETURN = r"""
changes:
  description: What was changed on the host, or would be in check mode, for reports.
  type: list
  elements: str
  returned: success
  sample:
    - "bad-gateway-accept-in-8000-10.0.0.1.service: accepts tcp 8000 from 10.0.0.1, by nftables, in inet filter input"
recovered:
  description: Changes that were killed in the middle and were taken back before this one, or would be in check mode.
  type: list
  elements: str
  returned: success
  sample: []
rules:
  description: What became of each entry of O(allow), or would in check mode.
  type: list
  elements: dict
  returned: success
  contains:
    unit:
      description: The unit that keeps the rule.
      type: str
      sample: bad-gateway-accept-in-8000-10.0.0.1.service
    accepts:
      description: What the rule accepts.
      type: str
      sample: tcp 8000 from 10.0.0.1
    comment:
      description: The rule's comment.
      type: str
      sample: sre.bad_gateway (tcp 8000 from 10.0.0.1)
    tools:
      description: The tools that the rule is made with. None where nothing stops the connection.
      type: list
      elements: str
      sample: [nftables]
    stopped_in:
      description:
        - The chains that stop the connection, or would without the rule, each with its table. None where the rule is
          one of ufw or firewalld already.
      type: list
      elements: str
      sample: [inet filter input]
    action:
      description: What was done. V(renew) is for a rule that was gone, or that other chains need by now.
      type: str
      choices: [none, add, renew, remove]
      sample: add
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.sre.bad_gateway.plugins.module_utils._payload import compile_once

compile_once()

from ansible_collections.sre.bad_gateway.plugins.module_utils._change._errors import ChangeError
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._firewall import apply
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._firewall_rules import typed


def main() -> None:
    """Wire the module's arguments to the change and its outcome to the result."""
    module = AnsibleModule(
        argument_spec={
            "allow": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "port": {"type": "int", "required": True},
                    "source": {"type": "str"},
                    "destination": {"type": "str"},
                    "interface": {"type": "str"},
                },
                "mutually_exclusive": [("source", "destination")],
                "required_one_of": [("source", "destination")],
            },
            "tool": {
                "type": "str",
                "choices": ["auto", "nftables", "iptables", "ufw", "firewalld"],
                "default": "auto",
            },
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "run_id": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    given = module.params
    try:
        outcome = apply(
            [typed(one) for one in given["allow"]],
            tool=given["tool"],
            present=given["state"] == "present",
            check_mode=module.check_mode,
            run_id=given["run_id"],
        )
    except ChangeError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**outcome.as_dict(diff=module._diff))


if __name__ == "__main__":
    main()
