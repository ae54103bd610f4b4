# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re
from typing import Callable

import pytest
import testinfra
from testinfra.host import Host

PHP = {"web1": "8.2", "web2": "8.4"}


@pytest.mark.parametrize("site", ["shop.example", "forum.example"])
def test_many_clients_at_once_are_answered(host: Host, site: str) -> None:
    address = host.ansible.get_variables()["ansible_host"]
    command = "wrk -t1 -c64 -d2s --timeout 20s -H %s %s"
    told = testinfra.get_host("local://").check_output(command, f"Host: {site}", f"http://{address}/")
    assert re.search(r"[1-9]\d+ requests in", told)
    assert "Non-2xx" not in told
    assert "Socket errors" not in told


def test_only_digits_changed(host: Host) -> None:
    text = host.file("/etc/uwsgi/shop.ini").content_string
    assert re.search(r"^    workers   =   [3-9]\d*    ; see above\nlisten=511\n", text, re.MULTILINE)


def test_the_queues_are_as_long_as_they_say(host: Host, name: str) -> None:
    listening = host.check_output("ss -xlnH")
    for path in ("/run/shop/shop.sock", f"/run/php/php{PHP[name]}-fpm.sock"):
        assert re.search(rf"LISTEN +\d+ +511 +{path} ", listening)


def test_the_units_run(name: str, unit_state: Callable[[str], str]) -> None:
    assert {unit_state(unit) for unit in ("shop.service", f"php{PHP[name]}-fpm.service")} == {"active enabled"}


def test_php_fpm_accepts_its_settings(host: Host, name: str) -> None:
    told = host.run(f"php-fpm{PHP[name]} -tt")
    assert told.rc == 0
    assert re.search(r"pm\.max_children = [1-9]\d+$", told.stderr, re.MULTILINE)
