# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""nginx instances from process titles, units and recorded `nginx -V` and `nginx -t`."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from ansible_collections.sre.bad_gateway.plugins.module_utils._observe import _instances
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._instances import (
    Build,
    Command,
    Instance,
    check_config,
    find_instances,
    parse_build,
    parse_command,
    parse_credentials,
    parse_open_files_limit,
    parse_test,
    runs_as_configured,
    temporary_paths,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._processes import Process, ProcessTable
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._shared import Notes
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._units import Units

DEBIAN_122 = """\
nginx version: nginx/1.22.1
built with OpenSSL 3.0.20 7 Apr 2026 (running with OpenSSL 3.0.19 27 Jan 2026)
TLS SNI support enabled
configure arguments: --with-cc-opt='-g -O2 --prefix=/no' --prefix=/usr/share/nginx --conf-path=/etc/nginx/nginx.conf \
--http-log-path=/var/log/nginx/access.log --error-log-path=stderr --pid-path=/run/nginx.pid
"""
WHEEL_131 = """\
nginx version: nginx/1.31.3
built by gcc 14.2.0 (Alpine 14.2.0)
configure arguments: --prefix=. --sbin-path=nginx --conf-path=nginx.conf --error-log-path=stderr --user=nobody
"""
NONE_RUNNING = Units(systemd=False, facts=())


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("/usr/sbin/nginx", {}),
        ("nginx -c /etc/b.conf", {"config": "/etc/b.conf"}),
        ("nginx -c/etc/b.conf -p /srv/b/", {"config": "/etc/b.conf", "prefix": "/srv/b/"}),
        ("/usr/sbin/nginx -g daemon on; master_process on;", {"directives": "daemon on; master_process on;"}),
        ("nginx -g daemon off; -c b.conf", {"directives": "daemon off;", "config": "b.conf"}),
        ("nginx -p . -c nginx.conf -e logs/e.log", {"prefix": ".", "config": "nginx.conf", "error_log": "logs/e.log"}),
    ],
)
def test_options_in_a_process_title(words: str, expected: dict[str, str]) -> None:
    assert parse_command(words, binary="/n", directory="/d") == Command(binary="/n", directory="/d", **expected)


@pytest.mark.parametrize(
    ("text", "build"),
    [
        pytest.param(
            DEBIAN_122,
            Build(
                version="1.22.1",
                prefix="/usr/share/nginx",
                config="/etc/nginx/nginx.conf",
                error_log="stderr",
                access_log="/var/log/nginx/access.log",
            ),
            id="nginx 1.22 of Debian",
        ),
        pytest.param(
            WHEEL_131,
            Build(version="1.31.3", prefix=".", config="nginx.conf", error_log="stderr"),
            id="nginx 1.31 of the wheel",
        ),
        pytest.param(
            "nginx version: openresty/1.25.3.1\n", Build(version="1.25.3.1", flavour="openresty"), id="openresty"
        ),
        pytest.param(
            "nginx version: nginx/1.25.5 (nginx-plus-r32)\n", Build(version="1.25.5", flavour="plus"), id="plus"
        ),
        pytest.param("nginx version: nginx/1.18.0 (Ubuntu)\n", Build(version="1.18.0"), id="ubuntu"),
        pytest.param("Angie version: Angie/1.5.1\n", Build(version="1.5.1", flavour="angie"), id="angie"),
        pytest.param("Tengine version: Tengine/2.4.1\n", Build(version="2.4.1", flavour="tengine"), id="tengine"),
        pytest.param("Segmentation fault\n", Build(), id="no answer"),
    ],
)
def test_builds(text: str, build: Build) -> None:
    assert parse_build(text) == build


def test_messages_of_nginx_t_in_both_forms() -> None:
    text = (
        'nginx: [emerg] host not found in upstream "app" in /etc/nginx/conf.d/a b.conf:3\n'
        'nginx: [emerg] unknown directive "x" in /etc/nginx/nginx.conf:12\n'
        'nginx: [alert] could not open error log file: open() "/l" failed (13: Permission denied)\n'
        '2026/11/21 04:57:47 [warn] 21654#21654: the "user" directive is ignored in /etc/nginx/nginx.conf:1\n'
        "nginx: configuration file /etc/nginx/nginx.conf test failed\n"
    )
    assert [(one["level"], one["file"], one["line"]) for one in parse_test(text)] == [
        ("emerg", "/etc/nginx/conf.d/a b.conf", 3),
        ("emerg", "/etc/nginx/nginx.conf", 12),
        ("alert", None, None),
        ("warn", "/etc/nginx/nginx.conf", 1),
    ]


def test_a_running_workers_own_groups_count() -> None:
    found = parse_credentials("Name:\tnginx\nUid:\t0\t12345\t12345\t12345\nGid:\t7\t8\t8\t8\nGroups:\t8 27 \n")
    assert (found.uid, found.gid, found.groups, found.name) == (12345, 8, (8, 27), "12345")


def fake_nginx(tmp_path: Path, *, version: str = "nginx version: nginx/1.22.1", test: str = "", status: int = 0) -> str:
    """A program that answers -V and -t like nginx."""
    path = tmp_path / "nginx"
    path.write_text(f"#!/bin/sh\ncase $1 in -V) echo '{version}' >&2;; -t) echo '{test}' >&2; exit {status};; esac\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def process(pid: int, title: str, *, parent: int = 1, exe: str = "", started: float = 100.0) -> Process:
    return Process(
        pid=pid,
        parent=parent,
        name="nginx",
        argv=(title,),
        exe=exe,
        uid=0,
        gid=0,
        started=started,
        unit="nginx.service",
    )


def table(tmp_path: Path, *processes: Process) -> ProcessTable:
    for one in processes:
        (tmp_path / str(one.pid)).mkdir()
        (tmp_path / str(one.pid) / "root").symlink_to("/")
        (tmp_path / str(one.pid) / "status").write_text("Uid:\t0\t33\t33\t33\nGid:\t33\t33\t33\t33\nGroups:\t33\n")
    return ProcessTable(processes={one.pid: one for one in processes}, proc=tmp_path)


def test_masters_become_instances_and_old_workers_do_not_count(tmp_path: Path) -> None:
    binary = fake_nginx(tmp_path)
    processes = table(
        tmp_path,
        process(10, "nginx: master process nginx -c /srv/a.conf -p /srv/a", exe=binary),
        process(11, "nginx: worker process is shutting down", parent=10, started=50.0),
        process(12, "nginx: worker process", parent=10, started=200.0),
        process(13, "nginx: cache manager process", parent=10, started=60.0),
        process(20, "nginx: master process nginx -c b.conf -p /srv/b", exe=binary),
    )
    found = find_instances(table=processes, units=NONE_RUNNING, config=None, notes=Notes())
    assert [(one.pid, one.config, one.prefix, one.unit) for one in found] == [
        (10, "/srv/a.conf", "/srv/a", "nginx.service"),
        (20, "/srv/b/b.conf", "/srv/b", "nginx.service"),
    ]
    assert found[0].workers_since == 200.0
    assert found[0].credentials is not None
    assert (found[0].credentials.uid, found[1].credentials) == (33, None)


def test_a_binary_upgrade_is_one_nginx(tmp_path: Path) -> None:
    binary = fake_nginx(tmp_path)
    processes = table(
        tmp_path,
        process(10, "nginx: master process nginx", exe=binary),
        process(30, "nginx: master process nginx", parent=10, exe=binary),
    )
    found = find_instances(table=processes, units=NONE_RUNNING, config=None, notes=Notes())
    assert [one.pid for one in found] == [30]


def test_the_option_limits_to_the_nginx_with_that_main_file(tmp_path: Path) -> None:
    binary = fake_nginx(tmp_path)
    (tmp_path / "b.conf").write_text("")
    (tmp_path / "link.conf").symlink_to("b.conf")
    processes = table(
        tmp_path,
        process(10, "nginx: master process nginx -c /srv/a.conf", exe=binary),
        process(20, f"nginx: master process nginx -c {tmp_path}/b.conf", exe=binary),
    )
    found = find_instances(table=processes, units=NONE_RUNNING, config=str(tmp_path / "link.conf"), notes=Notes())
    assert [one.pid for one in found] == [20]


def test_a_main_file_that_is_not_there_is_no_broken_nginx(tmp_path: Path) -> None:
    processes = table(tmp_path, process(10, "nginx: master process nginx -c /srv/a.conf", exe=fake_nginx(tmp_path)))
    notes = Notes()
    assert find_instances(table=processes, units=NONE_RUNNING, config=f"{tmp_path}/misspelt", notes=notes) == []
    assert [tuple(entry.values()) for entry in notes.entries] == [(f"nginx with {tmp_path}/misspelt", "no such file")]


def test_nothing_found_says_where_was_looked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_instances, "SEARCH_PATH", str(tmp_path))
    notes = Notes()
    assert find_instances(table=table(tmp_path), units=NONE_RUNNING, config=None, notes=notes) == []
    assert [entry["what"] for entry in notes.entries] == ["nginx"]


def instance(binary: str, *, workers_since: float | None = None) -> Instance:
    return Instance(
        command=Command(binary=binary),
        build=Build(),
        config="/etc/nginx/nginx.conf",
        prefix="/etc/nginx",
        pid=None,
        unit=None,
        credentials=None,
        workers_since=workers_since,
    )


def test_a_rejected_configuration(tmp_path: Path) -> None:
    binary = fake_nginx(tmp_path, test="nginx: [emerg] unknown directive in /etc/nginx/x.conf:3", status=1)
    result = check_config(instance(binary))
    assert (result["ran"], result["ok"], result["messages"][0]["line"]) == (True, False, 3)


@pytest.mark.parametrize(("uid", "ran"), [(0, True), (1000, False)])
def test_want_of_permission_is_no_invalid_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uid: int, ran: bool
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    binary = fake_nginx(
        tmp_path, test='nginx: [emerg] open() "/run/nginx.pid" failed (13: Permission denied)', status=1
    )
    result = check_config(instance(binary))
    assert (result["ran"], result["ok"]) == (ran, False)
    assert ("nginx.pid" in result["why"]) is not ran


def test_a_hanging_test_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "nginx"
    path.write_text("#!/bin/sh\nexec sleep 60\n")
    path.chmod(0o755)
    monkeypatch.setattr(_instances, "_TEST_SECONDS", 0.1)
    result = check_config(instance(str(path)))
    assert (result["ran"], result["why"]) == (False, f"{path} did not end within 0.1 s")


@pytest.mark.parametrize(
    ("workers_since", "expected"), [(2000.0, True), (1000.0, False), (None, None)], ids=["younger", "older", "none"]
)
def test_whether_workers_are_younger_than_their_files(
    tmp_path: Path, workers_since: float | None, expected: bool | None
) -> None:
    file = tmp_path / "nginx.conf"
    file.write_text("")
    os.utime(file, (1500, 1500))
    assert runs_as_configured(instance("/n", workers_since=workers_since), [str(file)]) is expected


def test_soft_limit_of_open_files() -> None:
    text = "Limit   Soft Limit  Hard Limit  Units\nMax processes 10 10 processes\nMax open files 1024 524288 files\n"
    assert parse_open_files_limit(text) == 1024
    assert parse_open_files_limit("Max open files unlimited unlimited files\n") is None


def test_temporary_paths_are_the_compiled_ones_unless_the_configuration_says_otherwise() -> None:
    arguments = "--http-proxy-temp-path=/var/lib/nginx/proxy --http-client-body-temp-path=body"
    instance = _instances._not_running(
        Command(binary="nginx", prefix="/opt"),
        build=parse_build(f"nginx version: nginx/1.22.1\nconfigure arguments: {arguments}\n"),
        unit=None,
    )
    assert temporary_paths(instance, {}) == ["/var/lib/nginx/proxy", "/opt/body"]
    assert temporary_paths(instance, {"proxy_temp_path": [["/big", "1", "2"]]}) == ["/big", "/opt/body"]
