# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ansible_collections.sre.bad_gateway.plugins.module_utils._nginx._config import Config, read_config
from ansible_collections.sre.bad_gateway.plugins.module_utils._nginx._routes import (
    endpoints,
    passes,
    routes,
    upstreams,
    worker_user,
)

MAIN = """user www;
error_log logs/main.log;
http {
    error_log /var/log/http.log warn;
    upstream App {
        server 127.0.0.1:8001 max_fails=3;
        server app2 backup;
        server unix:/run/app.sock;
        keepalive 32;
    }
    include servers.conf;
    server {
        server_name "*.example.org";
        location / { proxy_pass http://caf\xe9:81; error_log syslog:server=unix:/dev/log; }
    }
}
stream { server { listen 1; proxy_pass 127.0.0.1:2; } }
"""
SERVERS = """server {
    listen 127.0.0.1:8080;
    listen [::]:443 ssl;
    server_name a.example b.example;
    location / { proxy_pass https://APP/x; }
    location =/login {
        proxy_pass http://user:pw@127.0.0.1:9;
        location ~ \\.php$ { if ($a) { fastcgi_pass 127.0.0.1:9000; } }
    }
    location @named { grpc_pass grpcs://[::1]:50; }
    location /v { proxy_pass http://$where; }
    location /w { proxy_pass http://127.0.0.1:8001$request_uri; }
    location /w { proxy_pass http://app; }
}
"""


@pytest.fixture
def config(tmp_path: Path) -> Config:
    (tmp_path / "nginx.conf").write_bytes(MAIN.encode("latin-1"))
    (tmp_path / "servers.conf").write_text(SERVERS)
    return read_config("nginx.conf", prefix=str(tmp_path))


GROUP = ["tcp:127.0.0.1:8001", "tcp:app2:80", "unix:/run/app.sock"]
FOUND = {
    "a.example:8080 /": ("https://APP/x", "App", GROUP, False, 5),
    "a.example:8080 = /login": ("http://***@127.0.0.1:9", None, [], False, 7),
    "a.example:8080 ~ \\.php$": ("127.0.0.1:9000", None, ["tcp:127.0.0.1:9000"], False, 8),
    "a.example:8080 @named": ("grpcs://[::1]:50", None, ["tcp:[::1]:50"], False, 10),
    "a.example:8080 /v": ("http://$where", None, [], True, 11),
    "a.example:8080 /w": ("http://127.0.0.1:8001$request_uri", None, ["tcp:127.0.0.1:8001"], True, 12),
    "a.example:8080 /w #2": ("http://app", "App", GROUP, False, 13),
    "*.example.org /": ("http://caf\ufffd:81", None, ["tcp:caf\ufffd:81"], False, 14),
}


def test_routes(config: Config) -> None:
    found = routes(passes(config))
    assert {
        one["id"]: (one["target"], one["upstream"], one["endpoints"], one["variables"], one["line"]) for one in found
    } == FOUND
    assert found[0]["server_names"] == ["a.example", "b.example"]
    assert found[0]["listen"] == ["127.0.0.1:8080", "[::]:443 ssl"]
    assert {Path(one["file"]).name for one in found[:-1]} == {"servers.conf"}


def test_upstreams(config: Config) -> None:
    (upstream,) = upstreams(config)
    assert (upstream["name"], upstream["line"], upstream["directives"]) == ("App", 5, [["keepalive", "32"]])
    assert [(one["address"], one["endpoint"], one["parameters"], one["line"]) for one in upstream["servers"]] == [
        ("127.0.0.1:8001", "tcp:127.0.0.1:8001", ["max_fails=3"], 6),
        ("app2", "tcp:app2:80", ["backup"], 7),
        ("unix:/run/app.sock", "unix:/run/app.sock", [], 8),
    ]


def test_an_endpoint_is_listed_once_per_protocol_with_every_place_that_names_it(config: Config) -> None:
    found = {(one["key"], one["protocol"]): one for one in endpoints(passes(config))}
    assert set(found) == {
        *((key, "https") for key in GROUP),
        *((key, "http") for key in GROUP),
        ("tcp:127.0.0.1:9000", "fastcgi"),
        ("tcp:[::1]:50", "grpcs"),
        ("tcp:caf\ufffd:81", "http"),
    }
    places = found["tcp:127.0.0.1:8001", "http"]["written_at"]
    assert [(Path(one["file"]).name, one["line"]) for one in places] == [("servers.conf", 12), ("nginx.conf", 6)]
    assert (found["tcp:[::1]:50", "grpcs"]["host"], found["tcp:[::1]:50", "grpcs"]["addresses"]) == ("::1", ["::1"])
    assert found["tcp:app2:80", "http"]["addresses"] == []


def test_all_of_it_is_plain_text(config: Config) -> None:
    everything = [routes(passes(config)), upstreams(config), endpoints(passes(config))]
    assert json.dumps(everything, ensure_ascii=False).encode("utf-8")
    assert worker_user(config) == "www"
