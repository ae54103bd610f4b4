# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rules that are added, renewed, removed and taken back, with a packet filter that follows the units."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.sre.bad_gateway.plugins.module_utils._change import (
    _firewall,
    _firewall_units,
    _journal,
    _rollback,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._errors import ChangeError
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._firewall import Outcome, apply
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._firewall_rules import stops as _stops
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._firewall_rules import typed
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._filter_tables import Filters
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._packet_filter import Chain, Match, Rule, Table
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._shared import Notes
from ansible_collections.sre.bad_gateway.tests.unit.plugins.module_utils._change._systemd_double import Systemd

NGINX = typed({"port": 8000, "source": "10.0.0.1"})
DROP = Rule(text="tcp dport 8000 drop", matches=(Match("dport", ("8000",)),), verdict="drop")
OURS = Rule(text=NGINX.comment, matches=(Match("saddr", ("10.0.0.1",)),), verdict="accept")


@dataclass
class Kernel:
    """What the packet filter holds: our rule as long as its unit runs, unless somebody else flushed it."""

    systemd: Systemd
    others: list[Rule] = field(default_factory=lambda: [DROP])
    flushed: bool = False
    first: bool = True  # our rule comes before those of others
    missed: str = ""

    def read(self, *, notes: Notes) -> Filters:
        if self.missed:
            notes.miss("packet filter rules", self.missed)
        if self.systemd.asked and self.systemd.asked[-1].startswith(("start", "restart")):
            self.flushed = False
        runs = self.systemd.is_running(NGINX.unit) and not self.flushed
        ours = [OURS] if runs else []
        rules = [*ours, *self.others] if self.first else [*self.others, *ours]
        return Filters([Table("nftables", "inet", "filter", {"input": Chain("input", rules, "input")})])


@pytest.fixture
def kernel(systemd: Systemd, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Kernel:
    one = Kernel(systemd)
    monkeypatch.setattr(_firewall, "read_filters", one.read)
    monkeypatch.setattr(_firewall, "_UFW", tmp_path)
    monkeypatch.setattr(_firewall_units, "_POLICIES", tmp_path / "policies")
    (tmp_path / "policies").mkdir()
    monkeypatch.setattr(shutil, "which", lambda name, path=None: f"/usr/sbin/{name}")
    return one


def allow(*, present: bool = True, check_mode: bool = False, tool: str = "auto", run_id: str = "") -> Outcome:
    return apply([NGINX], tool=tool, present=present, check_mode=check_mode, run_id=run_id)


def actions(outcome: Outcome) -> list[str]:
    return [step.action for step in outcome.steps]


def test_a_rule_is_added_once_and_kept(kernel: Kernel) -> None:
    unit = kernel.systemd.units / NGINX.unit
    told = allow(check_mode=True).as_dict(diff=True)
    assert (kernel.systemd.asked, unit.exists()) == ([], False)
    made = allow().as_dict(diff=True)
    assert made == told
    assert made["changes"] == [f"{NGINX.unit}: accepts tcp 8000 from 10.0.0.1, by nftables, in inet filter input"]
    assert (kernel.systemd.is_running(NGINX.unit), kernel.systemd.is_enabled(NGINX.unit)) == (True, True)
    assert unit.read_text() == made["diff"][0]["after"]
    kernel.systemd.asked.clear()
    assert allow().as_dict(diff=True)["changed"] is False
    assert kernel.systemd.asked == []


def test_nothing_is_added_where_nothing_stops_it(kernel: Kernel) -> None:
    kernel.others = []
    assert actions(allow()) == ["none"]
    assert (kernel.systemd.asked, _journal.finished()) == ([], [])


def test_nothing_is_read_where_nothing_is_asked_for(kernel: Kernel) -> None:
    kernel.missed = "nobody asks"
    assert apply([], tool="auto", present=True, check_mode=False).as_dict(diff=False)["changed"] is False


def test_a_rule_outlives_what_it_was_for(kernel: Kernel) -> None:
    allow()
    kernel.others = []
    assert actions(allow()) == ["none"]
    assert (kernel.systemd.units / NGINX.unit).exists()


def _flush(kernel: Kernel) -> None:
    kernel.flushed = True


def _stop(kernel: Kernel) -> None:
    kernel.systemd.run(["systemctl", "stop", "--", NGINX.unit])


def _disable(kernel: Kernel) -> None:
    kernel.systemd.run(["systemctl", "disable", "--", NGINX.unit])


def _edit(kernel: Kernel) -> None:
    with (kernel.systemd.units / NGINX.unit).open("a") as file:
        file.write("# by hand\n")


@pytest.mark.parametrize("harm", [_flush, _stop, _disable, _edit])
def test_a_rule_that_was_lost_is_renewed(kernel: Kernel, harm: Any) -> None:
    allow()
    written = (kernel.systemd.units / NGINX.unit).read_bytes()
    harm(kernel)
    kernel.systemd.asked.clear()
    assert actions(allow(check_mode=True)) == ["renew"]
    assert kernel.systemd.asked == []
    assert actions(allow()) == ["renew"]
    assert f"restart {NGINX.unit}" in kernel.systemd.asked
    assert (kernel.systemd.units / NGINX.unit).read_bytes() == written
    assert actions(allow()) == ["none"]


def roll_back(run_id: str = "") -> None:
    _rollback.roll_back(run_id=run_id, force=False, check_mode=False)


def test_removal_and_rollback_leave_nothing(kernel: Kernel) -> None:
    before = sorted(kernel.systemd.units.rglob("*"))
    allow(run_id="let through")
    assert actions(allow(present=False, run_id="removed")) == ["remove"]
    assert (sorted(kernel.systemd.units.rglob("*")), kernel.systemd.is_running(NGINX.unit)) == (before, False)
    assert actions(allow(present=False)) == ["none"]
    roll_back("removed")
    assert (kernel.systemd.is_running(NGINX.unit), kernel.systemd.is_enabled(NGINX.unit)) == (True, True)
    roll_back("let through")
    assert (sorted(kernel.systemd.units.rglob("*")), kernel.systemd.is_running(NGINX.unit)) == (before, False)


def test_units_stop_while_systemd_still_knows_how(kernel: Kernel) -> None:
    allow()
    kernel.systemd.asked.clear()
    roll_back()
    assert kernel.systemd.asked[:2] == [f"stop {NGINX.unit}", "daemon-reload"]


def test_a_rule_that_does_not_help_is_taken_back(kernel: Kernel) -> None:
    kernel.first = False
    with pytest.raises(ChangeError, match="inet filter input still stops it"):
        allow()
    assert not (kernel.systemd.units / NGINX.unit).exists()
    assert not kernel.systemd.is_running(NGINX.unit)


def test_a_unit_that_does_not_start_is_taken_back(kernel: Kernel) -> None:
    kernel.systemd.broken[NGINX.unit] = 1
    with pytest.raises(ChangeError, match=f"systemctl start {NGINX.unit}"):
        allow()
    assert list(kernel.systemd.units.rglob("*")) == []


def test_what_cannot_be_read_is_not_taken_for_nothing(kernel: Kernel) -> None:
    kernel.missed = "only root may read them"
    with pytest.raises(ChangeError, match="only root may read them"):
        allow()


@pytest.mark.parametrize(
    ("ufw", "firewalld", "expected"),
    [("ENABLED=no", False, "nftables"), ("ENABLED=yes", False, "ufw"), ("ENABLED=no", True, "firewalld")],
)
def test_who_manages_the_rules_is_told(
    kernel: Kernel, tmp_path: Path, ufw: str, firewalld: bool, expected: str
) -> None:
    (tmp_path / "ufw.conf").write_text(f"# ufw\n{ufw}\n")
    if firewalld:
        kernel.systemd.add("firewalld.service", running=True)
    (step,) = allow(check_mode=True).steps
    assert step.tools == [expected]


def test_the_tool_can_be_chosen(kernel: Kernel) -> None:
    assert [step.tools for step in allow(check_mode=True, tool="ufw").steps] == [["ufw"]]
    assert actions(allow(check_mode=True, tool="iptables")) == ["none"]


@pytest.mark.parametrize("tool", ["ufw", "firewalld"])
def test_a_manager_keeps_a_rule_that_bears_no_mark_of_ours(kernel: Kernel, monkeypatch: Any, tool: str) -> None:
    """Neither prints comments with its rules: that ours is there is known by its unit."""
    monkeypatch.setattr(_firewall, "stops", lambda accept, filters, ours=True: _stops(accept, filters, ours=True))
    assert actions(allow(tool=tool)) == ["add"]
    assert actions(allow(tool=tool)) == ["none"]
    for harm in (_stop, _disable, _edit, _flush):
        harm(kernel)
        kernel.systemd.asked.clear()
        assert actions(allow(tool=tool)) == ["renew"], harm.__name__
        assert actions(allow(tool=tool)) == ["none"]


def test_a_policy_of_firewalld_comes_and_goes_with_its_unit(kernel: Kernel) -> None:
    policy = _firewall_units.policy_path(NGINX)
    told = allow(tool="firewalld", check_mode=True).as_dict(diff=True)
    assert ([one["after_header"] for one in told["diff"]][1], policy.exists()) == (str(policy), False)
    allow(tool="firewalld", run_id="let through")
    written = policy.read_bytes()
    policy.unlink()
    assert actions(allow(tool="firewalld")) == ["renew"]
    assert policy.read_bytes() == written
    allow(present=False, run_id="removed")
    assert not policy.exists()
    roll_back("removed")
    assert policy.read_bytes() == written
    roll_back("let through")
    assert not policy.exists()


def test_a_firewalld_without_policies_is_refused(kernel: Kernel, tmp_path: Path) -> None:
    (tmp_path / "policies").rmdir()
    with pytest.raises(ChangeError, match="firewalld has no policies here"):
        allow(tool="firewalld", check_mode=True)


def test_a_rule_of_somebody_else_in_ufw_is_refused(kernel: Kernel, tmp_path: Path) -> None:
    (tmp_path / "user.rules").write_text("### tuple ### deny tcp 8000 0.0.0.0/0 any 10.0.0.1 in\n")
    with pytest.raises(ChangeError, match="ufw has a rule for just that already, which says deny"):
        allow(tool="ufw", check_mode=True)
