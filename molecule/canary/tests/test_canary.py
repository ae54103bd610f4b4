# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Callable

from testinfra.host import Host


def test_all_is_as_it_was(host: Host, status: Callable[[str], int]) -> None:
    assert {site: status(site) for site in ("shop.example", "docs.example")} == {
        "shop.example": 502,
        "docs.example": 200,
    }
    assert host.check_output("find /etc -type f -exec sha256sum {} + | sort") == (
        host.file("/root/etc_before").content_string.rstrip()
    )


def test_only_the_first_host_was_touched(host: Host, name: str) -> None:
    assert host.file("/var/lib/sre.bad_gateway/transactions").exists is (name == "web1")
    started = host.run("journalctl --no-pager -u shop.service").stdout
    assert ("Started shop.service" in started or "Started The shop" in started) is (name == "web1")
