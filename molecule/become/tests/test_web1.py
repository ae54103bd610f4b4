# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from testinfra.host import Host

testinfra_hosts = ["ansible://web1"]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("/etc/nginx/sites-enabled/docs.example.conf", "proxy_connect_timeout 5s;"),
        ("/etc/nginx/sites-enabled/docs.example.conf", "error_page"),
        ("/etc/systemd/system/docs.service.d/zz-bad-gateway-workers.conf", "--workers 3"),
        ("/etc/logrotate.d/zz-bad-gateway-docs", "/var/log/docs/app.log"),
    ],
)
def test_what_each_role_left_is_there(host: Host, path: str, text: str) -> None:
    assert text in host.file(path).content_string
    assert host.file(path).user == "root"
