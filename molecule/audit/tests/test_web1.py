# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Callable

testinfra_hosts = ["ansible://web1"]


def test_the_site_is_as_it_was(status: Callable[[str], int]) -> None:
    assert status("shop.example") == 502
