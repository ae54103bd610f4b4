# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from lab._doctor import COMMANDS, Facts, advice, cgroup_layout, install_command, judge, packages_of, runtime_arguments

GOOD = Facts(
    uid=0,
    commands=frozenset(COMMANDS),
    network_program=True,
    debian_keyring=True,
    pip=True,
    cgroup="v2",
    cgroup_writable=True,
    namespaces=True,
    apt=True,
)


def without(*names: str) -> frozenset[str]:
    return frozenset(COMMANDS) - set(names)


@pytest.mark.parametrize(
    ("changes", "word", "packages"),
    [
        pytest.param({"uid": 1000}, "not root", [], id="user"),
        pytest.param({"commands": without("podman")}, "podman is missing", ["podman"], id="no podman"),
        pytest.param({"commands": without("mmdebstrap")}, "mmdebstrap is missing", ["mmdebstrap"], id="no mmdebstrap"),
        pytest.param({"commands": without("runc", "crun")}, "runc is missing", ["runc"], id="no runtime"),
        pytest.param(
            {"cgroup": "hybrid", "commands": without("runc")}, "on cgroup hybrid", ["runc"], id="hybrid, crun only"
        ),
        pytest.param({"cgroup": "v1", "commands": without("runc")}, "on cgroup v1", ["runc"], id="v1, crun only"),
        pytest.param({"network_program": False}, "netavark", ["netavark"], id="no network"),
        pytest.param({"debian_keyring": False}, "keys", ["debian-archive-keyring"], id="no keyring"),
        pytest.param({"pip": False}, "pip", ["python3-pip"], id="no pip"),
        pytest.param({"cgroup": "none", "cgroup_writable": False}, "no control groups", [], id="no cgroups"),
        pytest.param({"cgroup_writable": False}, "read-only", [], id="read-only cgroups"),
        pytest.param({"namespaces": False}, "locked-down", [], id="locked down"),
        pytest.param({"apt": False}, "apt-get is missing", [], id="not Debian"),
    ],
)
def test_one_thing_missing_is_one_problem(changes: dict[str, object], word: str, packages: list[str]) -> None:
    (problem,) = judge(dataclasses.replace(GOOD, **changes))  # type: ignore[arg-type]
    assert word in problem.text
    assert list(problem.packages) == packages


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({}, id="v2 with both runtimes"),
        pytest.param({"commands": without("runc")}, id="v2 with crun"),
        pytest.param({"commands": without("crun")}, id="v2 with runc"),
        pytest.param({"cgroup": "hybrid", "commands": without("crun")}, id="hybrid with runc"),
    ],
)
def test_a_good_machine_has_no_problem(changes: dict[str, object]) -> None:
    assert judge(dataclasses.replace(GOOD, **changes)) == []  # type: ignore[arg-type]


def test_the_remedy_is_one_command_that_names_every_package_once() -> None:
    problems = judge(dataclasses.replace(GOOD, commands=without("ssh", "ssh-keygen", "podman")))
    assert packages_of(problems) == ["podman", "openssh-client"]
    assert install_command(packages_of(problems))[-2:] == ["podman", "openssh-client"]
    assert advice(problems)[-1].endswith("apt-get install -y --no-install-recommends podman openssh-client")


def test_no_command_is_offered_where_none_helps() -> None:
    assert len(advice(judge(dataclasses.replace(GOOD, uid=1000)))) == 1


@pytest.mark.parametrize(
    ("files", "layout"),
    [
        (["cgroup.controllers"], "v2"),
        (["systemd/cgroup.procs", "unified/cgroup.procs"], "hybrid"),
        (["systemd/cgroup.procs"], "v1"),
        ([], "none"),
    ],
)
def test_cgroup_layout(tmp_path: Path, files: list[str], layout: str) -> None:
    for name in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert cgroup_layout(tmp_path) == layout


@pytest.mark.parametrize(
    ("cgroup", "arguments"), [("v2", []), ("hybrid", ["--runtime", "runc"]), ("v1", ["--runtime", "runc"])]
)
def test_only_pure_v2_uses_the_default_runtime(cgroup: str, arguments: list[str]) -> None:
    assert runtime_arguments(cgroup) == arguments
