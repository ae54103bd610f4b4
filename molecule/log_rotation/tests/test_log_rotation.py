# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import time
from typing import Callable

from testinfra.host import Host


def test_the_site_answers(status: Callable[[str], int]) -> None:
    assert status("shop.example") == 200


def test_nothing_was_deleted(host: Host) -> None:
    packed = host.file("/srv/shop/logs/access.log.room-1.gz")
    assert packed.size < 1 << 20
    assert int(host.check_output("zcat %s | wc -c", packed.path)) >= 31 << 20


def test_nginx_writes_to_the_new_log(host: Host, status: Callable[[str], int]) -> None:
    before = host.file("/srv/shop/logs/access.log").size
    status("shop.example")
    assert host.file("/srv/shop/logs/access.log").size > before


def test_logs_that_the_distribution_rotates_are_left_to_it(host: Host) -> None:
    assert "/var/log/nginx" not in host.file("/etc/logrotate.d/zz-bad-gateway-nginx").content_string
    answer = host.run("logrotate --debug /etc/logrotate.conf")
    assert (answer.rc, "error:" in answer.stdout + answer.stderr) == (0, False)


def test_every_log_is_reopened_after_its_rotation(host: Host, status: Callable[[str], int]) -> None:
    status("shop.example")
    host.check_output("logrotate --force /etc/logrotate.conf")
    for log in ("access.log", "app.log"):
        for _attempt in range(20):  # logrotate signals the programs and does not wait for them
            status("shop.example")
            written = "GET / HTTP/1." in host.file(f"/srv/shop/logs/{log}").content_string
            if written:
                break
            time.sleep(1)
        assert written


def test_the_journal_has_a_limit(host: Host) -> None:
    assert "SystemMaxUse=200M" in host.check_output("systemd-analyze cat-config systemd/journald.conf")
    assert host.service("systemd-journald").is_running
