# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Listeners of app servers in other network namespaces, with a real one."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._foreign_sockets import read_foreign_listeners
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._processes import ProcessTable, read_processes
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._shared import Notes

SERVER = """
import socket, sys
tcp = socket.create_server(("127.0.0.1", 8000))
path = socket.socket(socket.AF_UNIX)
path.bind(sys.argv[1])
path.listen()
print("ready", flush=True)
input()
"""


def test_listeners_of_another_network_say_so(tmp_path: Path) -> None:
    script = tmp_path / "gunicorn"
    script.write_text(SERVER)
    unshare = [shutil.which("unshare") or "unshare", "--net", "sh", "-c", 'ip link set lo up; exec "$@"', "sh"]
    try:
        done = subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode
    except OSError:
        done = 1
    if done != 0:
        pytest.skip("may not make a network namespace")
    command = [*unshare, sys.executable, str(script), str(tmp_path / "s")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        assert server.stdout and server.stdout.readline() == b"ready\n"
        table = read_processes(notes=Notes())
        mine = ProcessTable(processes={server.pid: table.processes[server.pid]})
        found = read_foreign_listeners(table=mine, notes=Notes())
        server.communicate(b"\n")
    assert {(one["transport"], one["address"], one["port"], one["pid"], one["file_exists"]) for one in found} == {
        ("tcp", "127.0.0.1", 8000, server.pid, None),
        ("unix", str(tmp_path / "s"), None, server.pid, True),
    }
    (network,) = {one["network_namespace"] for one in found}
    assert network.startswith("net:[")


def test_our_own_network_is_not_another(tmp_path: Path) -> None:
    script = tmp_path / "gunicorn"
    script.write_text(SERVER.replace("8000", "0"))
    with subprocess.Popen(
        [sys.executable, str(script), str(tmp_path / "s")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as server:
        assert server.stdout and server.stdout.readline() == b"ready\n"
        processes = {server.pid: read_processes(notes=Notes()).processes[server.pid]}
        assert read_foreign_listeners(table=ProcessTable(processes=processes), notes=Notes()) == []
        server.communicate(b"\n")
