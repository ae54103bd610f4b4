# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Callable

from testinfra.host import Host

SITE = "/etc/nginx/sites-enabled/shop.example.conf"


def test_the_sick_site_is_as_it_was(host: Host, status: Callable[[str], int]) -> None:
    assert status("shop.example") == 502
    assert "proxy_pass http://127.0.0.1:8001;" in host.file(SITE).content_string


def test_its_neighbour_answers_as_before(status: Callable[[str], int]) -> None:
    assert status("docs.example") == 200
