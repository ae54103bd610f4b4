# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Callable

testinfra_hosts = ["ansible://web1", "ansible://web2"]  # those that have nginx

SITES = {"web1": ["near", "far", "walled", "zoned"], "web2": ["near", "far"]}


def test_the_sites_answer(name: str, status: Callable[[str], int]) -> None:
    assert {site: status(f"{site}.example") for site in SITES[name]} == dict.fromkeys(SITES[name], 200)
