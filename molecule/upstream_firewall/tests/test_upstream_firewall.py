# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from testinfra.host import Host

#: The rules of others, in their order: not one of them is ours to touch.
OTHERS = {
    "app1": ["ct state established,related accept", "tcp dport 9100 accept", 'iifname != "lo" tcp dport 8000 drop'],
    "app2": [
        "-A INPUT -p tcp -m tcp --dport 9100 -j ACCEPT",
        "-A INPUT ! -i lo -p tcp -m tcp --dport 8000 -j REJECT --reject-with icmp-port-unreachable",
    ],
    "app3": ["ufw allow 22/tcp"],
    "app4": [],
    "web1": [],
    "web2": ['oifname != "lo" tcp dport 8000 reject with tcp reset'],
}
OURS = {"app1": 2, "app2": 2, "app3": 2, "app4": 2, "web1": 0, "web2": 2}


def rules(host: Host, name: str) -> list[str]:
    if name == "app2":
        return [line for line in host.check_output("iptables-save").splitlines() if line.startswith("-A")]
    if name == "app3":
        return [line for line in host.check_output("ufw show added").splitlines() if line.startswith("ufw ")]
    if name == "app4":  # its rules bear no comments
        return list(host.check_output("firewall-cmd --list-rich-rules").splitlines())
    lines = [line.strip() for line in host.check_output("nft --stateless list ruleset").splitlines()]
    return [line for line in lines if line.endswith(')"') or line.split(" ")[-1] in ("accept", "drop", "reset")]


def test_rules_come_before_those_of_others_which_stay(host: Host, name: str) -> None:
    found = rules(host, name)
    ours = [rule for rule in found if "sre.bad_gateway (tcp 8000 " in rule or 'priority="-100"' in rule]
    assert len(ours) == OURS[name]
    assert found == [*ours, *OTHERS[name]]


def test_rules_are_narrow(host: Host, name: str) -> None:
    for rule in rules(host, name)[: OURS[name]]:
        assert any(word in rule for word in ("saddr", "daddr", "-s ", " from ", "source address="))
        assert any(word in rule for word in ("dport 8000", "port 8000 proto tcp", 'port port="8000" protocol="tcp"'))


def test_the_units_are_started_at_boot(host: Host, name: str) -> None:
    units = host.check_output("ls /etc/systemd/system").split()
    mine = [unit for unit in units if unit.startswith("bad-gateway-accept-")]
    assert len(mine) == OURS[name]
    for unit in mine:
        assert host.check_output(f"systemctl is-enabled {unit}; systemctl is-active {unit}").split() == [
            "enabled",
            "active",
        ]
