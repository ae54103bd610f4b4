# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import time
from typing import Callable

import pytest
from testinfra.host import Host

UNSUPERVISED = {
    "counter.service": "counter.example",
    "chat.service": "chat.example",
    "live.service": "live.example",
    "pages.service": "pages.example",
}
SITES = {
    "app1": {"api.service": "api.example"},
    "web3": {"blog.service": "blog.example"},
    "web4": {**UNSUPERVISED, "php8.2-fpm.service": "forum.example"},
    "web5": {**UNSUPERVISED, "php8.4-fpm.service": "forum.example"},
}
#: Node.js is revived on failure only here, and to uWSGI a TERM is a reload.
CRASHED = ("chat.service", "counter.service")
#: What nginx's unit is to have of every app's, besides being ordered after it.
DEPENDENCIES = {"api.service": "Requires", "php8.2-fpm.service": None, "php8.4-fpm.service": None}


@pytest.fixture
def sites(name: str) -> dict[str, str]:
    return SITES[name]


def test_every_site_answers(status: Callable[[str], int], sites: dict[str, str]) -> None:
    assert {site: status(site) for site in sites.values()} == dict.fromkeys(sites.values(), 200)


def test_they_come_back_after_a_reboot(unit_state: Callable[[str], str], sites: dict[str, str]) -> None:
    assert {unit: unit_state(unit) for unit in sites} == dict.fromkeys(sites, "active enabled")


def active_pid(host: Host, unit: str) -> str:
    """The unit's main process, "0" while the unit is not active."""
    shown = host.check_output("systemctl show -p ActiveState,MainPID %s", unit)
    state = dict(line.split("=", 1) for line in shown.splitlines())
    return state["MainPID"] if state["ActiveState"] == "active" else "0"


def test_systemd_revives_them(host: Host, status: Callable[[str], int], sites: dict[str, str]) -> None:
    """After an end that looks like success, as gunicorn's does; or after a crash."""
    before = {unit: active_pid(host, unit) for unit in sites}
    for unit, pid in before.items():
        host.check_output("kill -%s %s", "KILL" if unit in CRASHED else "TERM", pid)
    for _attempt in range(100):
        time.sleep(0.2)
        if all(active_pid(host, unit) not in ("0", pid) for unit, pid in before.items()):
            break
    assert {unit: active_pid(host, unit) not in ("0", pid) for unit, pid in before.items()} == dict.fromkeys(
        sites, True
    )
    test_every_site_answers(status, sites)


def test_nginx_starts_after_the_app_and_depends_on_it_as_asked(host: Host, sites: dict[str, str]) -> None:
    has = {
        name: host.check_output("systemctl show -P %s nginx.service", name).split() for name in ("Requires", "Wants")
    }
    after = host.check_output("systemctl show -P After nginx.service").split()
    for unit in sites:
        wanted = DEPENDENCIES.get(unit, "Wants")
        assert [name for name, units in has.items() if unit in units] == ([wanted] if wanted else [])
        assert (unit in after) == bool(wanted)
