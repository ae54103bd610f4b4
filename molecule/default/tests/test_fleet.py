# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Callable

import pytest
from testinfra.host import Host

REPORT = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "report"
SITES = {"web1": ["shop.example", "docs.example"], "web2": ["api.example"], "web3": ["blog.example"], "app1": []}
UNITS = {"web1": [], "web2": [], "web3": ["blog.service"], "app1": ["api.service"]}


@pytest.fixture(scope="module")
def report() -> Any:
    return json.loads((REPORT / "report.json").read_text())


def test_every_site_answers(name: str, status: Callable[[str], int]) -> None:
    assert {site: status(site) for site in SITES[name]} == dict.fromkeys(SITES[name], 200)


def test_the_apps_come_back_after_a_reboot(name: str, unit_state: Callable[[str], str]) -> None:
    assert {unit: unit_state(unit) for unit in UNITS[name]} == dict.fromkeys(UNITS[name], "active enabled")


def test_the_report_of_the_second_run_finds_nothing_that_hurts(report: Any) -> None:
    assert report["findings"] == []
    assert {host: data["changed"] for host, data in report["hosts"].items()} == {key: [] for key in SITES}


# Of all files below /etc, these and no others were changed or made.
CHANGED = {
    "web1": {"/etc/nginx/sites-enabled/shop.example.conf"},
    "web2": set(),
    "web3": {"/etc/systemd/system/nginx.service.d/zz-bad-gateway-blog.conf"},
    "app1": {"/etc/systemd/system/api.service.d/zz-bad-gateway-supervision.conf"},
}


def test_nothing_but_the_sick_was_touched(host: Host, name: str) -> None:
    now = host.check_output("find /etc -type f -exec sha256sum {} + | sort")
    before = host.file("/root/etc_before").content_string
    different = set(now.splitlines()) ^ set(before.splitlines())
    assert {line.split(maxsplit=1)[1] for line in different} == CHANGED[name]
