# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Callable

from testinfra.host import Host

SITES = {"web1": ("shop.example", "docs.example"), "web2": ("blog.example",), "web3": ("shop.example", "forum.example")}


def test_every_site_answers(name: str, status: Callable[[str], int]) -> None:
    assert {site: status(site) for site in SITES[name]} == dict.fromkeys(SITES[name], 200)


def test_who_is_not_root_did_it(host: Host) -> None:
    """The records are root's, and nobody else has any: a plain user's would lie in their home directory."""
    assert host.file("/var/lib/sre.bad_gateway/transactions").user == "root"
    assert host.run("find /home -name 'sre.bad_gateway*'").stdout == ""
    assert host.run("journalctl --no-pager _COMM=sudo").stdout.count("admin : ") > 0
