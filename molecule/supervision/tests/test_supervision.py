# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import time
from typing import Callable

import pytest
from testinfra.host import Host

UNITS = {"app1": ("api.service", "api.example"), "web3": ("blog.service", "blog.example")}


@pytest.fixture
def unit(name: str) -> str:
    return UNITS[name][0]


@pytest.fixture
def site(name: str) -> str:
    return UNITS[name][1]


def test_the_site_answers(status: Callable[[str], int], site: str) -> None:
    assert status(site) == 200


def test_it_comes_back_after_a_reboot(unit_state: Callable[[str], str], unit: str) -> None:
    assert unit_state(unit) == "active enabled"


def active_pid(host: Host, unit: str) -> str:
    """The unit's main process, "0" while the unit is not active."""
    shown = host.check_output("systemctl show -p ActiveState,MainPID %s", unit)
    state = dict(line.split("=", 1) for line in shown.splitlines())
    return state["MainPID"] if state["ActiveState"] == "active" else "0"


def test_systemd_revives_it_after_an_end_that_looks_like_success(
    host: Host, status: Callable[[str], int], unit: str, site: str
) -> None:
    before = active_pid(host, unit)
    host.check_output("kill %s", before)
    for _attempt in range(50):
        time.sleep(0.2)
        if active_pid(host, unit) not in ("0", before):
            break
    assert active_pid(host, unit) not in ("0", before)
    assert status(site) == 200


def test_nginx_starts_after_the_app_where_that_was_asked_for(host: Host, name: str, unit: str) -> None:
    for setting in ("After", "Wants"):
        units = host.check_output("systemctl show -P %s nginx.service", setting).split()
        assert (unit in units) == (name == "app1")
    assert unit not in host.check_output("systemctl show -P Requires nginx.service").split()
