# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Room, log rotation and security modules, from texts as hosts have them."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._capacity import (
    Mount,
    Rotation,
    covers,
    log_rotation,
    mount_of,
    parse_logrotate,
    parse_meminfo,
    parse_mounts,
    read_filesystems,
    read_rotations,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._security import parse_denials, read_security
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._shared import Notes

MOUNTS = """\
22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw
23 22 0:5 / /var/my\\040log rw shared:5 - tmpfs none rw
24 22 0:9 / /mnt rw - nfs4 server:/x rw
"""
ROTATE = """\
weekly
include logrotate.d
/var/log/nginx/*.log {
    daily
    postrotate
        invoke-rc.d nginx rotate { >/dev/null
    endscript
}
"/var/log/my app.log" /srv/a.log
{
    size 10M
}
"""
AVC = (
    'type=AVC msg=audit(1700000000.123:9): avc:  denied  { name_connect } for  pid=7 comm="nginx" dest=8000 '
    "scontext=system_u:system_r:httpd_t:s0 tcontext=system_u:object_r:soundd_port_t:s0 tclass=tcp_socket permissive=0"
)
APPARMOR = (
    'audit: type=1400 apparmor="DENIED" operation="connect" profile="nginx" name="/run/app.sock" pid=7 comm="nginx" '
    'requested_mask="wr" denied_mask="wr"'
)


def test_mounts_and_the_one_where_a_path_lies() -> None:
    mounts = parse_mounts(MOUNTS)
    found = [mount_of(path, mounts) for path in ("/var/my log/x", "/var/my logs", "/mnt")]
    assert found == [Mount("/var/my log", "tmpfs"), Mount("/", "ext4"), Mount("/mnt", "nfs4")]


def test_memory() -> None:
    assert parse_meminfo("MemTotal:  2048 kB\nHugePages_Total:  0\n")["MemTotal"] == 2 << 20


def test_room_where_something_lies(tmp_path: Path) -> None:
    (found,) = read_filesystems([str(tmp_path / "a"), str(tmp_path / "b")], notes=Notes())
    assert found["paths"] == [str(tmp_path / "a"), str(tmp_path / "b")]
    assert (found["size"] > 0, found["read_only"]) == (True, False)


def test_logrotate() -> None:
    assert parse_logrotate(ROTATE) == (["/var/log/nginx/*.log", "/var/log/my app.log", "/srv/a.log"], ["logrotate.d"])


def test_files_of_logrotate_are_followed(tmp_path: Path) -> None:
    (tmp_path / "logrotate.conf").write_text("include logrotate.d\ninclude gone\n")
    (tmp_path / "logrotate.d").mkdir()
    (tmp_path / "logrotate.d" / "nginx").write_text("/x/*.log {\n}\n")
    found = read_rotations(notes=Notes(), main=tmp_path / "logrotate.conf")
    assert found[1:] == [Rotation(str(tmp_path / "logrotate.d" / "nginx"), ("/x/*.log",))]


@pytest.mark.parametrize(
    ("pattern", "path", "covered"),
    [
        ("/var/log/nginx/*.log", "/var/log/nginx/error.log", True),
        ("/var/log/nginx/*.log", "/var/log/nginx/shop/error.log", False),
        ("/var/log/nginx/[ae]*.log", "/var/log/nginx/error.log", True),
        ("/var/log/nginx/*.log", "/var/log/nginx/error.logx", False),
    ],
)
def test_patterns(pattern: str, path: str, covered: bool) -> None:
    assert covers(pattern, path) is covered


def test_a_log_that_nothing_rotates_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_text("1234")
    (tmp_path / "b.log").write_text("")
    logs = [str(tmp_path / "a.log"), str(tmp_path / "b.log"), str(tmp_path / "gone.log")]
    found = log_rotation(logs, [Rotation("/etc/logrotate.d/x", (str(tmp_path / "b*"),))])
    assert [(one["by"], one["size"]) for one in found] == [(None, 4), ("/etc/logrotate.d/x", 0)]


def test_denials_are_folded() -> None:
    found = parse_denials([AVC, "something else", AVC, APPARMOR])
    assert [(one["module"], one["process"], one["permission"], one["target"], one["count"]) for one in found] == [
        ("selinux", "nginx", "name_connect", "8000", 2),
        ("apparmor", "nginx", "connect", "/run/app.sock", 1),
    ]


@pytest.mark.parametrize(
    ("files", "selinux", "apparmor"),
    [
        ({}, "absent", "absent"),
        ({"etc/selinux/config": "SELINUX=disabled"}, "disabled", "absent"),
        (
            {"sys/module/apparmor/parameters/enabled": "Y\n", "proc/7/attr/current": "unconfined\n"},
            "absent",
            "absent",
        ),
    ],
)
def test_states_of_security_modules(tmp_path: Path, files: dict[str, str], selinux: str, apparmor: str) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    found = read_security([7], notes=Notes(), proc=tmp_path / "proc", sys=tmp_path / "sys", etc=tmp_path / "etc")
    assert (found.selinux, found.apparmor, found.denials) == (selinux, apparmor, [])
