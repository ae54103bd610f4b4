# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Callable

from testinfra.host import Host

SITES = "/etc/nginx/sites-enabled"
#: Each worker of nginx keeps connections for itself.
WORKERS = "ps -C nginx -o args= | grep -c 'worker process'"


def test_large_headers_get_through(status: Callable[[str], int], host: Host) -> None:
    assert status("shop.example") == 200
    head = host.check_output("curl -sS -o /dev/null -D - -H 'Host: shop.example' http://127.0.0.1/")
    assert 9000 * "x" in head


def test_no_message_is_lost_to_a_connection_that_ends(host: Host) -> None:
    for _turn in range(2):
        assert host.check_output("/opt/chat/load").split() == ["200"] * 8


def test_connections_are_kept(host: Host) -> None:
    ask = "for turn in 1 2 3 4 5 6 7 8; do curl -sS -H 'Host: shop.example' http://127.0.0.1/; done"
    ports = set(host.check_output(ask).split())
    assert len(ports) <= int(host.check_output(WORKERS)) < 8


def test_the_block_says_what_was_asked_for(host: Host) -> None:
    text = host.file(f"{SITES}/shop.example.conf").content_string
    block = text[: text.index("server {\n    listen")]
    assert [line.strip() for line in block.splitlines() if line.startswith("    ")] == [
        "zone shop 64k;",
        "server 127.0.0.1:8000 max_fails=3 fail_timeout=10s;",
        "keepalive 32;",
        "keepalive_timeout 1s;",
    ]


def test_inherited_headers_and_those_of_the_route_stay(host: Host) -> None:
    text = host.file(f"{SITES}/shop.example.conf").content_string
    for line in (
        "proxy_set_header Host $host;",
        "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;",
        'proxy_set_header "Connection" "";',
        "proxy_connect_timeout 5s;",
        "proxy_read_timeout 60s;",
    ):
        assert text.count(line) == 1


def test_what_only_nginx_plus_knows_is_left_out(host: Host) -> None:
    assert "health_check" not in host.file(f"{SITES}/shop.example.conf").content_string


def test_its_neighbour_is_untouched(status: Callable[[str], int], host: Host) -> None:
    assert status("docs.example") == 200
    now = host.check_output(f"sha256sum {SITES}/docs.example.conf")
    assert now in host.file("/root/etc_before").content_string.splitlines()
