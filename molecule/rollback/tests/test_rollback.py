# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Callable

from testinfra.host import Host

JOURNALS = "/var/lib/sre.bad_gateway/transactions"


def test_every_file_is_as_it_was(host: Host) -> None:
    done = host.run("find /etc -type f -exec sha256sum {} + | sort | diff /root/etc_before -")
    assert done.stdout == ""


def test_every_link_directory_and_unit_is_as_it_was(host: Host) -> None:
    assert host.run("/root/state | diff /root/state_before -").stdout == ""


def test_nginx_serves_what_it_served(status: Callable[[str], int]) -> None:
    assert (status("shop.example"), status("docs.example")) == (502, 200)


def test_systemd_has_read_its_units_again(host: Host) -> None:
    for unit in ("shop.service", "nginx.service"):
        assert "bad-gateway" not in host.run("systemctl cat %s", unit).stdout
        assert host.run("systemctl show --property=NeedDaemonReload --value %s", unit).stdout.strip() == "no"


def test_records_are_roots_alone(host: Host) -> None:
    assert host.file(JOURNALS).mode == 0o700
    assert host.run(f"ls {JOURNALS}/*/state.*").stdout.count("state.rolled_back") == 2
