# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path

import pytest

from lab._cli import parse_host, parser
from lab._commands import LabError
from lab._declared import DEMO_HOSTS, REQUESTS
from lab._embedded import HOSTS as EMBEDDED_HOSTS
from lab._fleet import Fleet, HostSpec, addresses_in, create_arguments, host_entries, raise_limit
from lab._trees import Entry


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("h1", HostSpec("h1", roles=("plain",), image="debian12")),
        ("h1@debian13", HostSpec("h1", roles=("plain",), image="debian13")),
        ("web1=nginx+gunicorn_tcp@debian13", HostSpec("web1", roles=("nginx", "gunicorn_tcp"), image="debian13")),
    ],
)
def test_parse_host(text: str, spec: HostSpec) -> None:
    assert parse_host(text) == spec


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("h1=apache", "unknown role 'apache'; there are: .*gunicorn_tcp.*nginx"),
        ("h1=nginx@fedora", "unknown image 'fedora'; there are: debian12, debian13"),
        ("h1=../roles/nginx", "unknown role"),
        ("H_1=nginx", "host name 'H_1'"),
    ],
)
def test_a_wrong_host_is_refused_with_what_there_is(text: str, message: str) -> None:
    with pytest.raises(LabError, match=message):
        parse_host(text)


def test_a_fleet_refuses_two_hosts_of_one_name() -> None:
    with pytest.raises(LabError, match="named twice"):
        Fleet("f", [HostSpec("a"), HostSpec("a")])


@pytest.mark.parametrize("name", ["../f", "F", "", "embedded"])
def test_a_fleet_name_reaches_nowhere_else(name: str) -> None:
    with pytest.raises(LabError, match="fleet name"):
        Fleet(name)


@pytest.mark.parametrize("name", ["demo", "molecule-proxy_pass", "embedded-2"])
def test_a_fleet_name_may_be_made_of_words(name: str) -> None:
    assert Fleet(name).name == name


def test_addresses_skip_those_of_the_network_itself() -> None:
    assert addresses_in("10.89.4.0/24", ["a", "b"]) == {"a": "10.89.4.10", "b": "10.89.4.11"}


def arguments(*, cgroup: str = "v2", max_files: int = 1048576, capabilities: tuple[str, ...] = ()) -> list[str]:
    return create_arguments(
        spec=HostSpec("b", image="debian13", capabilities=capabilities),
        container="lab-x-f-b",
        network="lab-x-f",
        labels={"l": "/check out"},
        addresses={"a": "10.0.0.10", "b": "10.0.0.11"},
        cgroup=cgroup,
        max_files=max_files,
    )


def test_root_of_a_host_may_more_where_that_is_asked_for() -> None:
    assert "--cap-add=SYS_ADMIN,NET_ADMIN" in arguments()
    assert "--cap-add=SYS_ADMIN,NET_ADMIN,SYS_PTRACE" in arguments(capabilities=("SYS_PTRACE",))


def test_a_host_knows_the_others_by_name_and_has_its_address() -> None:
    argv = arguments()
    assert "--add-host=a:10.0.0.10" in argv
    assert not [argument for argument in argv if argument.startswith("--add-host=b")]
    assert argv[argv.index("--ip") + 1] == "10.0.0.11"
    assert "--label=l=/check out" in argv
    assert ":debian13-" in argv[-1]


@pytest.mark.parametrize(("max_files", "ulimit"), [(1048576, "1024:20000"), (4096, "1024:4096")])
def test_a_host_asks_for_no_more_files_than_the_machine_allows(max_files: int, ulimit: str) -> None:
    assert f"--ulimit=nofile={ulimit}" in arguments(max_files=max_files)


def test_the_older_cgroup_layouts_run_on_runc() -> None:
    assert arguments(cgroup="hybrid")[:3] == ["--runtime", "runc", "create"]
    assert arguments(cgroup="v2")[0] == "create"


def test_host_entries_enable_the_units_of_every_role_and_let_the_fleet_in() -> None:
    entries = {entry.path: entry for entry in host_entries(HostSpec("a", roles=("nginx", "gunicorn_unix")), b"key")}
    wants = "etc/systemd/system/multi-user.target.wants"
    assert entries[f"{wants}/nginx.service"].link == "/lib/systemd/system/nginx.service"
    assert entries[f"{wants}/gunicorn-unix.service"].link == "/etc/systemd/system/gunicorn-unix.service"
    assert entries["root/.ssh/authorized_keys"].content == b"key"


def test_the_stopped_app_of_the_demo_is_not_enabled() -> None:
    paths = [entry.path for entry in host_entries(HostSpec("app1", roles=("api_stopped",)), b"")]
    assert "etc/systemd/system/api.service" in paths
    assert not [path for path in paths if ".wants/" in path]


def test_every_declared_request_goes_to_a_declared_host_and_some_are_healthy_before() -> None:
    names = {"demo": {spec.name for spec in DEMO_HOSTS}, "embedded": {host.name for host in EMBEDDED_HOSTS}}
    for fleet, requests in REQUESTS.items():
        assert {request.host for request in requests} <= names[fleet]
        assert {request.before for request in requests} == {200, 502}


def test_exec_leaves_the_options_of_the_command_alone() -> None:
    parsed = parser().parse_args(["exec", "--fleet", "f", "h1", "--", "ls", "-la"])
    assert (parsed.host, parsed.argv) == ("h1", ["ls", "-la"])


def test_a_host_has_files_and_units_of_its_own() -> None:
    own = Entry("etc/systemd/system/shop.service", 0o644, b"[Service]")
    entries = {
        entry.path: entry for entry in host_entries(HostSpec("a", files=(own,), enabled=("shop.service",)), b"key")
    }

    assert entries[own.path] == own
    link = entries["etc/systemd/system/multi-user.target.wants/shop.service"].link
    assert link == "/etc/systemd/system/shop.service"


def test_a_limit_is_raised_and_never_lowered(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    limit = tmp_path / "max_user_instances"
    limit.write_text("128\n")

    raise_limit(limit, 1024)
    raise_limit(limit, 512)

    assert limit.read_text() == "1024\n"
    assert capsys.readouterr().err.count("is now 1024") == 1


def test_a_limit_that_may_not_be_raised_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    raise_limit(tmp_path / "none", 1024)

    assert "stays as it is (No such file or directory)" in capsys.readouterr().err
