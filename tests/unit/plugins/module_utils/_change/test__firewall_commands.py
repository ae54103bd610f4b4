# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How tools are told: the words, and scripts with tools that write down what they hear."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Sequence

import pytest

from ansible_collections.sre.bad_gateway.plugins.module_utils._change._firewall_commands import (
    commands,
    policy_name,
    ufw_has,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._firewall_rules import (
    Accept,
    FirewallError,
    Stop,
    typed,
)
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
    ],
)
def test_each_tool_is_told_in_its_own_words(accept: Accept, tool: str, stopping: Stop, told: str) -> None:
    (one,) = commands(accept, [stopping], tool=tool)
    assert list(one.insert) == shlex.split(f"/sbin/{told}")


@pytest.mark.parametrize(
    ("accept", "told"),
    [
        (FOUR, "allow in proto tcp from 10.0.0.1 to any port 8000"),
        (SIX, "allow in on eth0 proto tcp from fd00::/64 to any port 8000"),
        (OUT, "allow out on eth0 proto tcp to 10.0.0.2 port 8000"),
    ],
)
def test_ufw_is_told_once_and_keeps_rules_of_others(accept: Accept, told: str, tmp_path: Path) -> None:
    ufw = Ufw(tmp_path)
    (one,) = commands(accept, [stop("iptables")], tool="ufw")
    ufw.run(one.insert)
    ufw.run(one.insert)
    ufw.run(one.remove)
    assert ufw.told() == [f"prepend {told} comment {accept.comment}", f"delete {told}"]
    ufw.run(one.remove)
    assert len(ufw.told()) == 2


class Ufw:
    """Its command, which writes down what it is told; a rule shows by its comment."""

    def __init__(self, directory: Path) -> None:
        self._told, self._command, shown = directory / "told", directory / "ufw", directory / "shown"
        shown.touch()
        self._command.write_text(
            f"""#!/bin/sh
[ $1 = show ] && cat {shown} && exit
echo "$@" >> {self._told}
[ $1 = delete ] && : > {shown} || echo "ufw $*" >> {shown}
"""
        )
        self._command.chmod(0o755)

    def run(self, argv: Sequence[str]) -> None:
        lock, _path, *words = argv
        assert lock == "/sbin/flock"
        subprocess.run([word.replace("/sbin/ufw", str(self._command)) for word in words], check=False)

    def told(self) -> list[str]:
        return self._told.read_text().splitlines()


OURS = f"comment={FOUR.comment.encode().hex()}"


@pytest.mark.parametrize(
    ("accept", "rule", "says"),
    [
        (FOUR, "allow tcp 8000 0.0.0.0/0 any 10.0.0.1 in", "allow"),
        (FOUR, "deny tcp 8000 0.0.0.0/0 any 10.0.0.1 in comment=6e6f", "deny"),
        (FOUR, "reject_log-all tcp 8000 0.0.0.0/0 any 10.0.0.1 in", "reject"),
        (FOUR, f"allow tcp 8000 0.0.0.0/0 any 10.0.0.1 in {OURS}", ""),
        (FOUR, "deny tcp 8000 0.0.0.0/0 any 0.0.0.0/0 in", ""),
        (FOUR, "deny tcp 8000 0.0.0.0/0 any 10.0.0.11 in", ""),
        (FOUR, "deny tcp 8000 0.0.0.0/0 any 10.0.0.1 in_eth0", ""),
        (SIX, "deny tcp 8000 ::/0 any fd00::/64 in_eth0", "deny"),
        (OUT, "deny tcp 8000 10.0.0.2 any 0.0.0.0/0 out_eth0", "deny"),
    ],
)
def test_a_rule_of_somebody_else_takes_the_place_in_ufw(accept: Accept, rule: str, says: str) -> None:
    assert ufw_has(accept, f"*filter\n### RULES ###\n\n### tuple ### {rule}\n-A ufw-user-input\n") == says


RICH = 'rule priority="-100" family="ipv4" source address="10.0.0.1" port port="8000" protocol="tcp" accept'


@pytest.mark.parametrize("lasting", [False, True])
def test_every_zone_of_firewalld_gets_what_its_policy_has_not(lasting: bool, tmp_path: Path) -> None:
    """The scripts themselves, with a firewall-cmd that writes down what it is told."""
    told, command = tmp_path / "told", tmp_path / "firewall-cmd"
    command.write_text(
        f"""#!/bin/sh
case "$*" in
    --get-default-zone) echo public;;
    --get-active-zones) printf 'home\\n  interfaces: eth0\\npublic (default)\\n';;
    *--query-*) exit {0 if lasting else 1};;
    *) echo "$@" >> {told};;
esac
"""
    )
    command.chmod(0o755)
    (one,) = commands(FOUR, [stop("nftables")], tool="firewalld")

    def tell(argv: Sequence[str]) -> list[str]:
        told.write_text("")
        script = argv[-1].replace("/sbin/firewall-cmd", str(command))
        subprocess.run(["/bin/sh", "-c", script], check=True)
        return told.read_text().splitlines()

    zones = ["--zone=home", "--zone=public"]
    assert tell(one.insert) == ([] if lasting else [f"{zone} --add-rich-rule={RICH}" for zone in zones])
    policy = [f"--policy={policy_name(FOUR)}"] if lasting else []
    assert tell(one.remove) == [f"{each} --remove-rich-rule={RICH}" for each in [*policy, *zones]]


def test_policies_have_names_that_firewalld_takes() -> None:
    names = {policy_name(typed({"port": 65535, "source": f"10.0.0.{last}"})) for last in range(256)}
    assert len(names) == 256
    assert max(len(name) for name in names) <= 17


@pytest.mark.parametrize(
    ("accept", "why"), [(OUT, "by a policy of yours"), (SIX, "firewalld has zones instead of interfaces")]
)
def test_firewalld_is_not_asked_for_what_it_cannot(accept: Accept, why: str) -> None:
    with pytest.raises(FirewallError, match=why):
        commands(accept, [stop("nftables")], tool="firewalld")


def test_a_tool_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name, path: None)
    with pytest.raises(FirewallError, match="nft: there is no such command"):
        commands(FOUR, [stop("nftables")], tool="auto")


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
