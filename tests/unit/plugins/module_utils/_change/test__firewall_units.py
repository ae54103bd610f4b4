# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The files that keep a rule."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Sequence
from xml.etree import ElementTree

import pytest

from ansible_collections.sre.bad_gateway.plugins.module_utils._change._firewall_commands import Commands, commands
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._firewall_rules import (
    Accept,
    Stop,
    typed,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._firewall_units import (
    files,
    policy_path,
    unit_path,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._packet_filter import Chain, Table

FOUR = typed({"port": 8000, "source": "10.0.0.1"})


def stop(tool: str, *, family: str = "inet", chain: str = "input") -> Stop:
    return Stop(Table(tool, family, "filter"), Chain(chain), certain=True)


@pytest.fixture(autouse=True)
def _installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name, path: f"/sbin/{name}")


def unit(accept: Accept, told: Sequence[Commands]) -> bytes:
    return files(accept, told)[unit_path(accept)]


def test_the_unit_follows_every_tool_it_tells() -> None:
    both = commands(FOUR, [stop("nftables"), stop("iptables", family="ip", chain="INPUT")], tool="auto")
    lines = unit(FOUR, both).decode().splitlines()
    for name in ("After", "PartOf", "ReloadPropagatedFrom"):
        assert f"{name}=netfilter-persistent.service nftables.service" in lines
    assert "WantedBy=multi-user.target netfilter-persistent.service nftables.service" in lines
    assert [line.partition("=")[0] for line in lines if line.startswith("Exec")] == [
        *("ExecStartPre", "ExecStartPre", "ExecStart", "ExecStart"),
        *("ExecReload", "ExecReload", "ExecReload", "ExecReload", "ExecStop", "ExecStop"),
    ]


def test_systemd_gets_every_word_as_one() -> None:
    """Its own quotes and dollars are told apart from those of the shell and of nft."""
    lines = unit(FOUR, commands(FOUR, [stop("nftables")], tool="auto")).decode().splitlines()
    assert lines[-4].startswith("ExecStop=-/bin/sh -c '/sbin/nft -a list chain inet filter input | grep -F \\'sre.bad")
    assert lines[-4].endswith(
        "from 10.0.0.1)\\' | while read -r line; do /sbin/nft delete rule inet filter input handle $${line##* }; done'"
    )


@pytest.mark.parametrize("tool", ["ufw", "firewalld"])
def test_what_a_manager_keeps_stays_when_the_host_stops(tool: str) -> None:
    lines = unit(FOUR, commands(FOUR, [stop("nftables")], tool=tool)).decode().splitlines()
    assert lines[4:6] == ["DefaultDependencies=no", f"After=basic.target {tool}.service"]
    assert [line.partition("=")[0] for line in lines if line.startswith("Exec")] == ["ExecStart", "ExecStop"]
    assert lines[-1] == "WantedBy=multi-user.target"


def test_firewalld_finds_a_policy() -> None:
    (content,) = (
        content
        for path, content in files(FOUR, commands(FOUR, [stop("nftables")], tool="firewalld")).items()
        if path == policy_path(FOUR)
    )
    policy = ElementTree.fromstring(content)
    rule = policy.find("rule")
    assert rule is not None
    assert (policy.get("target"), policy.findtext("short")) == ("CONTINUE", FOUR.comment)
    assert [(one.tag, one.get("name")) for one in policy if one.get("name")] == [
        ("ingress-zone", "ANY"),
        ("egress-zone", "HOST"),
    ]
    assert rule.attrib == {"priority": "-100", "family": "ipv4"}
    assert [(one.tag, one.attrib) for one in rule] == [
        ("source", {"address": "10.0.0.1"}),
        ("port", {"port": "8000", "protocol": "tcp"}),
        ("accept", {}),
    ]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs apt-get install systemd")
def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    path = tmp_path / FOUR.unit
    path.write_bytes(unit(FOUR, commands(FOUR, [stop("nftables")], tool="auto")).replace(b"/sbin/nft", b"/bin/true"))
    judged = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert FOUR.unit not in judged.stderr
