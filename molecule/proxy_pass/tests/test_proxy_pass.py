# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Callable

from testinfra.host import Host

SITES = "/etc/nginx/sites-enabled"


def test_the_site_answers(status: Callable[[str], int]) -> None:
    assert status("shop.example") == 200


def test_its_neighbour_answers_as_before(status: Callable[[str], int]) -> None:
    assert status("docs.example") == 200


def test_only_the_port_was_changed(host: Host) -> None:
    text = host.file(f"{SITES}/shop.example.conf").content_string
    assert text.count("proxy_pass http://127.0.0.1:8000;") == 1
    assert "8001" not in text
    assert "proxy_set_header Host $host;" in text


def test_nothing_is_left_beside_the_file(host: Host) -> None:
    assert {"docs.example.conf", "shop.example.conf"} == set(host.file(SITES).listdir()) - {"default"}
