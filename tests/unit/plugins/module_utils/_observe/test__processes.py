# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The process table, from /proc trees made for the purpose."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._processes import (
    cgroup_path,
    environment_of,
    in_container,
    parse_stat,
    read_processes,
    unit_of,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._shared import Notes

STAT = "{pid} ({name}) {state} {parent} 1 1 0 -1 {flags} 0 0 0 0 3 1 0 0 20 0 1 0 {ticks} 11649024 1700"


def add_process(proc: Path, pid: int, *, argv: str, name: str = "app", state: str = "S", flags: int = 4194560) -> None:
    directory = proc / str(pid)
    directory.mkdir(parents=True)
    (directory / "stat").write_text(STAT.format(pid=pid, name=name, state=state, parent=1, flags=flags, ticks=4200))
    (directory / "cmdline").write_text(argv)
    (directory / "cgroup").write_text("0::/system.slice/shop.service\n")
    (directory / "environ").write_text("PORT=8000\0EMPTY=\0no-assignment\0")
    (directory / "status").write_text(f"Name:\t{name}\nNSpid:\t{pid}\n")


def test_a_name_with_blanks_and_parentheses_does_not_shift_the_fields() -> None:
    stat = parse_stat(STAT.format(pid=7, name="a) b (c", state="R", parent=3, flags=64, ticks=99))
    assert (stat.name, stat.state, stat.parent, stat.flags, stat.start_ticks) == ("a) b (c", "R", 3, 64, 99)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        pytest.param("0::/system.slice/nginx.service\n", "/system.slice/nginx.service", id="unified"),
        pytest.param("9:name=systemd:/user.slice\n8:pids:/x\n0::/\n", "/user.slice", id="legacy"),
        pytest.param(
            "12:cpu,cpuacct:/\n1:name=systemd:/a.slice/b.service\n0::/a.slice/b.service\n",
            "/a.slice/b.service",
            id="hybrid",
        ),
        pytest.param("8:pids:/docker/0123\n", "/", id="no systemd"),
    ],
)
def test_the_hierarchy_of_systemd_is_chosen(text: str, path: str) -> None:
    assert cgroup_path(text) == path


@pytest.mark.parametrize(
    ("path", "root", "unit"),
    [
        ("/system.slice/nginx.service", "/", "nginx.service"),
        ("/system.slice/app.service/worker/3", "/", "app.service"),
        ("/system.slice/system-app.slice/app@blue.service", "/", "app@blue.service"),
        ("/user.slice/user-1000.slice/session-3.scope", "/", "session-3.scope"),
        ("/user.slice/user-1000.slice/user@1000.service/app.slice/x.service", "/", "user@1000.service"),
        ("/system.slice/_cpu.service", "/", "cpu.service"),
        ("/init.scope", "/", "init.scope"),
        ("/machine.slice/libpod-1.scope/system.slice/nginx.service", "/machine.slice/libpod-1.scope", "nginx.service"),
        ("/machine.slice/libpod-1.scope/system.slice/nginx.service", "/", "libpod-1.scope"),
        ("/docker/0123456789ab", "/", None),
        ("/", "/", None),
    ],
)
def test_the_unit_is_the_first_part_below_the_slices(path: str, root: str, unit: str | None) -> None:
    assert unit_of(path, root=root) == unit


def test_the_table_holds_processes_and_neither_kernel_threads_nor_zombies(tmp_path: Path) -> None:
    add_process(tmp_path, 1, argv="/sbin/init\0", name="systemd")
    add_process(tmp_path, 20, argv="/usr/bin/python3\0/srv/app one.py\0", name="python3")
    add_process(tmp_path, 21, argv="", name="kworker", flags=0x00200040)
    add_process(tmp_path, 22, argv="", name="gone", state="Z")
    (tmp_path / "23").mkdir()  # ended while we looked
    notes = Notes()
    table = read_processes(notes=notes, proc=tmp_path)
    assert sorted(table.processes) == [1, 20]
    process = table.processes[20]
    assert process.argv == ("/usr/bin/python3", "/srv/app one.py")
    assert process.unit == "shop.service"
    assert [child.pid for child in table.children(1)] == [1, 20]
    assert notes.entries == []


def test_hidden_processes_are_said_once(tmp_path: Path) -> None:
    add_process(tmp_path, 20, argv="sleep\0")
    notes = Notes()
    read_processes(notes=notes, proc=tmp_path)
    assert notes.entries == [{"what": "processes of other users in /proc", "why": "mounted with hidepid"}]


def test_the_environment_is_read_as_data(tmp_path: Path) -> None:
    add_process(tmp_path, 20, argv="sleep\0")
    assert environment_of(20, proc=tmp_path) == {"PORT": "8000", "EMPTY": ""}


def test_a_process_with_pids_of_its_own_is_in_a_container(tmp_path: Path) -> None:
    add_process(tmp_path, 20, argv="sleep\0")
    add_process(tmp_path, 21, argv="sleep\0")
    (tmp_path / "21" / "status").write_text("NSpid:\t21\t5\n")
    (tmp_path / "self").symlink_to("20")
    assert (in_container(20, proc=tmp_path), in_container(21, proc=tmp_path)) == (False, True)
