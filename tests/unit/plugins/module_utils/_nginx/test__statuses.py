# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path

from ansible_collections.sre.bad_gateway.plugins.module_utils._nginx._config import read_config
from ansible_collections.sre.bad_gateway.plugins.module_utils._nginx._statuses import config_statuses

MAIN = """http {
    proxy_cache_valid 200 502 1m;
    fastcgi_cache_valid any 1m;
    error_page 502 503 504 /50x.html;
    upstream u { server 127.0.0.1:1; }
    server {
        server_name a.example b.example;
        error_page 404 =502 /gone;
        if (-f /srv/maintenance) { return 503; }
        location = /off { return 502 "off"; }
        location /moved { return 302 /502; }
        location /cached { proxy_cache_valid 200 1h; }
    }
}
"""


def test_only_what_makes_such_a_status_or_keeps_it_is_listed(tmp_path: Path) -> None:
    (tmp_path / "nginx.conf").write_text(MAIN)
    found = config_statuses(read_config("nginx.conf", prefix=str(tmp_path)))
    assert [(one["status"], one["directive"], one["location"], one["line"]) for one in found] == [
        (502, "proxy_cache_valid", "", 2),
        (502, "fastcgi_cache_valid", "", 3),
        (502, "error_page", "", 8),
        (503, "return", "", 9),
        (502, "return", "= /off", 10),
    ]
    assert [one["line"] for one in found if one["conditional"]] == [9]
    assert found[-1]["server_names"] == ["a.example", "b.example"]
    assert found[-1]["arguments"] == ["502", "off"]
