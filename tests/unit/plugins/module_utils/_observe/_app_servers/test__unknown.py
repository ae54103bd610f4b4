# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What may be an app though it is no known app server."""

from __future__ import annotations

import pytest

from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._app_servers._unknown import may_be_app
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._processes import Process, ProcessTable
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._sockets import Socket, _listener


@pytest.mark.parametrize(
    ("name", "may"),
    [
        ("shop", True),
        ("ssh", True),
        ("initd", True),
        ("cronolog", True),
        ("cron", False),
        ("sshd", False),
        ("sshd-session", False),
        ("systemd-resolve", False),
        ("(systemd)", False),
        ("PM2 v5.3.0: God", False),
        ("containerd-shim", False),
    ],
)
def test_daemons_of_the_system_are_no_apps(name: str, may: bool) -> None:
    process = Process(pid=7, parent=1, name=name, argv=(), exe="", uid=0, gid=0, started=0.0, unit=None)
    found = Socket("tcp", "127.0.0.1", 8000, 1)
    listener = _listener(found, owners={1: 7}, queues={}, table=ProcessTable({7: process}))

    assert may_be_app(listener) is may
