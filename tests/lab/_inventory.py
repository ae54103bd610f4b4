# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ansible inventories of a fleet, as YAML that a person can read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

#: Hosts of the lab come and go and reuse addresses, so their keys are not worth remembering.
SSH_OPTIONS = (
    "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR"
    " -o ControlMaster=auto -o ControlPersist=60s"
)


def ssh_variables(*, key: Path, control_dir: Path) -> dict[str, str]:
    return {
        "ansible_user": "root",
        "ansible_ssh_private_key_file": str(key),
        "ansible_ssh_common_args": SSH_OPTIONS,
        # Of this fleet alone: a shared connection must not outlive it and meet another host at the same address.
        "ansible_control_path_dir": str(control_dir),
        "ansible_python_interpreter": "/usr/bin/python3",
    }


def render(hosts: Mapping[str, Mapping[str, str]], variables: Mapping[str, str]) -> str:
    """Every scalar is quoted as JSON, which YAML reads as it stands."""
    lines = ["all:", "  hosts:"]
    for name, own in hosts.items():
        lines += [f"    {name}:", *_mapping(own, indent=6)]
    lines += ["  vars:", *_mapping(variables, indent=4)]
    return "\n".join(lines) + "\n"


def _mapping(values: Mapping[str, str], *, indent: int) -> list[str]:
    return [f"{' ' * indent}{key}: {json.dumps(value)}" for key, value in values.items()]
