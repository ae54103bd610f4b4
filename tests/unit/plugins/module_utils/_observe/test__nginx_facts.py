# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""nginx's configuration as facts, read from a file whose nginx does not run."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._nginx_facts import (
    nginx_config_facts,
    upstream_facts,
)

CONFIG = """\
events {{}}
http {{
    proxy_read_timeout 7s;
    upstream shop {{ server 127.0.0.1:{port} max_fails=2; keepalive 4; }}
    server {{
        listen 127.0.0.1:1;
        server_name shop.example;
        location / {{ proxy_pass http://shop; }}
        location /tls {{ proxy_ssl_certificate_key "data:-----BEGIN"; proxy_pass https://shop; }}
        location /api {{ proxy_set_header Authorization "Bearer abc"; proxy_pass http://shop; }}
    }}
}}
"""


def write_config(directory: Path, *, port: int = 9) -> str:
    path = directory / "nginx.conf"
    path.write_text(CONFIG.format(port=port))
    return str(path)


def test_every_route_has_the_settings_that_hold_there(tmp_path: Path) -> None:
    facts = nginx_config_facts(write_config(tmp_path))
    (nginx,) = json.loads(json.dumps(facts))["nginx"]
    assert {route["location"]: route["settings"] for route in nginx["routes"]} == {
        "/": {"proxy_read_timeout": [["7s"]]},
        "/tls": {"proxy_read_timeout": [["7s"]], "proxy_ssl_certificate_key": [["***"]]},
        "/api": {"proxy_read_timeout": [["7s"]], "proxy_set_header": [["Authorization", "***"]]},
    }
    assert "route_settings" not in nginx


def test_endpoints_are_asked(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        facts = upstream_facts(write_config(tmp_path, port=port), probe="connect")
    (block,) = facts["upstreams"]["blocks"]
    assert (block["nginx"], block["name"], block["directives"]) == ("nginx", "shop", [["keepalive", "4"]])
    assert [server["parameters"] for server in block["servers"]] == [["max_fails=2"]]
    endpoint = next(each for each in facts["upstreams"]["endpoints"] if each["protocol"] == "http")
    assert endpoint["addresses"] == ["127.0.0.1"]
    assert [(probe["address"], probe["outcome"]) for probe in endpoint["probes"]] == [
        (f"127.0.0.1:{port}", "connected")
    ]


def test_nobody_is_asked_when_it_is_switched_off(tmp_path: Path) -> None:
    facts = upstream_facts(write_config(tmp_path), probe="none")
    assert [endpoint["probes"] for endpoint in facts["upstreams"]["endpoints"]] == [[], []]


@pytest.mark.parametrize("gather", [nginx_config_facts, lambda config: upstream_facts(config, probe="none")])
def test_a_main_file_that_does_not_exist_is_said(gather: object, tmp_path: Path) -> None:
    facts = gather(str(tmp_path / "no.conf"))  # type: ignore[operator]
    (missed,) = [value for name, value in facts.items() if name.endswith("_missed")]
    assert {"what": f"nginx with {tmp_path}/no.conf", "why": "no such file"} in missed
