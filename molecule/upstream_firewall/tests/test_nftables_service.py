# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from testinfra.host import Host

testinfra_hosts = ["ansible://app1", "ansible://web2"]  # those where a service loads rules of nftables


def rules(host: Host) -> list[str]:
    return sorted(line.strip() for line in host.check_output("nft --stateless list ruleset").splitlines())


def ours(host: Host) -> int:
    return sum("sre.bad_gateway (tcp 8000 " in rule for rule in rules(host))


def test_rules_survive_what_loads_the_others_again(host: Host) -> None:
    before = rules(host)
    assert ours(host) == 2
    for verb in ("reload", "restart"):
        host.check_output(f"systemctl {verb} nftables.service")
        # What follows a unit is done in its wake: systemctl does not wait for that.
        there = "[ $(nft list ruleset | grep -c sre.bad_gateway) = 2 ]"
        host.check_output(f"timeout 30 sh -c 'until {there}; do sleep 0.2; done'")
        assert rules(host) == before
