# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How tools are told, and the unit that does it."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from ansible_collections.sre.bad_gateway.plugins.module_utils._change._firewall_rules import (
    Accept,
    FirewallError,
    Stop,
    typed,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._firewall_units import commands, render
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._packet_filter import Chain, Table

FOUR = typed({"port": 8000, "source": "10.0.0.1"})
SIX = typed({"port": 8000, "source": "fd00::/64", "interface": "eth0"})
OUT = typed({"port": 8000, "destination": "10.0.0.2", "interface": "eth0"})


def stop(tool: str, *, family: str = "inet", chain: str = "input") -> Stop:
    return Stop(Table(tool, family, "filter"), Chain(chain), certain=True)


@pytest.fixture(autouse=True)
def _installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name, path: f"/sbin/{name}")


@pytest.mark.parametrize(
    ("accept", "tool", "stopping", "told"),
    [
        (
            FOUR,
            "auto",
            stop("nftables"),
            "nft insert rule inet filter input ip saddr 10.0.0.1 tcp dport 8000 accept comment "
            "'\"sre.bad_gateway (tcp 8000 from 10.0.0.1)\"'",
        ),
        (
            SIX,
            "auto",
            stop("nftables"),
            "nft insert rule inet filter input iifname '\"eth0\"' ip6 saddr fd00::/64 tcp dport 8000 accept comment "
            "'\"sre.bad_gateway (tcp 8000 from fd00::/64 on eth0)\"'",
        ),
        (
            OUT,
            "auto",
            stop("iptables", family="ip", chain="OUTPUT"),
            "iptables -w -t filter -I OUTPUT 1 -p tcp -d 10.0.0.2 -o eth0 --dport 8000 -m comment --comment "
            "'sre.bad_gateway (tcp 8000 to 10.0.0.2 on eth0)' -j ACCEPT",
        ),
        (
            FOUR,
            "ufw",
            stop("iptables"),
            "ufw prepend allow in proto tcp from 10.0.0.1 to any port 8000 comment "
            "'sre.bad_gateway (tcp 8000 from 10.0.0.1)'",
        ),
        (
            OUT,
            "ufw",
            stop("iptables"),
            "ufw prepend allow out on eth0 proto tcp to 10.0.0.2 port 8000 comment "
            "'sre.bad_gateway (tcp 8000 to 10.0.0.2 on eth0)'",
        ),
        (
            FOUR,
            "firewalld",
            stop("nftables"),
            'firewall-cmd \'--add-rich-rule=rule priority="-100" family="ipv4" source address="10.0.0.1" '
            'port port="8000" protocol="tcp" accept\'',
        ),
    ],
)
def test_each_tool_is_told_in_its_own_words(accept: Accept, tool: str, stopping: Stop, told: str) -> None:
    (one,) = commands(accept, [stopping], tool=tool)
    assert list(one.insert) == shlex.split(f"/sbin/{told}")


def test_firewalld_lets_nothing_out() -> None:
    with pytest.raises(FirewallError, match="policy of yours"):
        commands(OUT, [stop("nftables")], tool="firewalld")


def test_a_tool_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name, path: None)
    with pytest.raises(FirewallError, match="nft: there is no such command"):
        commands(FOUR, [stop("nftables")], tool="auto")


def test_the_unit_follows_every_tool_it_tells() -> None:
    both = commands(FOUR, [stop("nftables"), stop("iptables", family="ip", chain="INPUT")], tool="auto")
    lines = render(FOUR, both).decode().splitlines()
    for name in ("After", "PartOf", "ReloadPropagatedFrom"):
        assert f"{name}=netfilter-persistent.service nftables.service" in lines
    assert "WantedBy=multi-user.target netfilter-persistent.service nftables.service" in lines
    assert [line.partition("=")[0] for line in lines if line.startswith("Exec")] == [
        *("ExecStartPre", "ExecStartPre", "ExecStart", "ExecStart"),
        *("ExecReload", "ExecReload", "ExecReload", "ExecReload", "ExecStop", "ExecStop"),
    ]


def test_removing_names_only_our_rule(tmp_path: Path) -> None:
    """The script itself, with an nft that shows a chain and writes down what it is to delete."""
    nft = tmp_path / "nft"
    shown = [
        f'accept comment "{typed({"port": 8000, "source": each}).comment}" # handle {handle}'
        for handle, each in ((7, "10.0.0.1"), (8, "10.0.0.11"), (9, "10.0.0.1"))
    ]
    listed = "\n".join(["\t\ttcp dport 22 accept # handle 6", *shown])
    nft.write_text(
        f"#!/bin/sh\n[ $1 = -a ] && cat <<'EOF'\n{listed}\nEOF\n[ $1 = delete ] && echo $@ >> {tmp_path}/told\n:\n"
    )
    nft.chmod(0o755)
    (one,) = commands(FOUR, [stop("nftables")], tool="auto")
    script = one.remove[-1].replace("/sbin/nft", str(nft))
    subprocess.run(["/bin/sh", "-c", script], check=True)
    assert (tmp_path / "told").read_text().splitlines() == [
        f"delete rule inet filter input handle {handle}" for handle in (7, 9)
    ]


def test_systemd_gets_every_word_as_one() -> None:
    """Its own quotes and dollars are told apart from those of the shell and of nft."""
    lines = render(FOUR, commands(FOUR, [stop("nftables")], tool="auto")).decode().splitlines()
    assert lines[-4].startswith("ExecStop=-/bin/sh -c '/sbin/nft -a list chain inet filter input | grep -F \\'sre.bad")
    assert lines[-4].endswith(
        "from 10.0.0.1)\\' | while read -r line; do /sbin/nft delete rule inet filter input handle $${line##* }; done'"
    )


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze judges the unit")
def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    path = tmp_path / FOUR.unit
    path.write_bytes(render(FOUR, commands(FOUR, [stop("nftables")], tool="auto")).replace(b"/sbin/nft", b"/bin/true"))
    judged = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert FOUR.unit not in judged.stderr
