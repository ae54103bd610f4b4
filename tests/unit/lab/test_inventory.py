# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path

import yaml

from lab._inventory import render, ssh_variables


def test_an_inventory_is_yaml_whatever_its_values_hold() -> None:
    variables = ssh_variables(key=Path("/a b/c: d/id"), control_dir=Path("/run/x"))
    text = render({"web1": {"ansible_host": "10.0.0.10"}, "web2": {"ansible_host": 'a"b'}}, variables)
    read = yaml.safe_load(text)
    assert read["all"]["hosts"] == {"web1": {"ansible_host": "10.0.0.10"}, "web2": {"ansible_host": 'a"b'}}
    assert read["all"]["vars"]["ansible_ssh_private_key_file"] == "/a b/c: d/id"
    assert read["all"]["vars"] == variables


def test_ssh_does_not_remember_hosts_and_keeps_its_connections_with_the_fleet() -> None:
    variables = ssh_variables(key=Path("/k"), control_dir=Path("/run/f"))
    for option in ("StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "ControlPersist="):
        assert option in variables["ansible_ssh_common_args"]
    assert variables["ansible_control_path_dir"] == "/run/f"
    assert variables["ansible_python_interpreter"] == "/usr/bin/python3"
