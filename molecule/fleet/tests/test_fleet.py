# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from testinfra.host import Host


def test_the_rollback_left_everything_as_it_was(host: Host) -> None:
    now = host.check_output("find /etc -type f -exec sha256sum {} + | sort")
    assert now == host.file("/root/etc_before").content_string.rstrip()
