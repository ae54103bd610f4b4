# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path

from ansible_collections.sre.bad_gateway.plugins.module_utils._nginx._config import Config, read_config
from ansible_collections.sre.bad_gateway.plugins.module_utils._nginx._routes import passes
from ansible_collections.sre.bad_gateway.plugins.module_utils._nginx._settings import nginx_settings, route_settings
from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import Settings

MAIN = """user www;
worker_rlimit_nofile 4096;
events { worker_connections 512; }
http {
    resolver 127.0.0.53 valid=10s;
    proxy_read_timeout 30s;
    proxy_set_header Host $host;
    proxy_set_header X-Real-IP $remote_addr;
    server {
        server_name a.example;
        gzip on;
        proxy_connect_timeout 5s;
        uwsgi_read_timeout 7s;
        location /inherits { proxy_pass http://127.0.0.1:1; }
        location /own {
            proxy_set_header X-Request-ID "$request_id";
            proxy_read_timeout 90s;
            proxy_pass http://127.0.0.1:1;
            location /own/inner { proxy_pass http://127.0.0.1:2; }
            if ($arg_x) { proxy_pass http://127.0.0.1:3; }
        }
        location /uwsgi { uwsgi_pass 127.0.0.1:4; }
        location /again { proxy_pass http://127.0.0.1:5; }
    }
}
"""


def config(tmp_path: Path, text: str = MAIN) -> Config:
    (tmp_path / "nginx.conf").write_text(text)
    return read_config("nginx.conf", prefix=str(tmp_path))


def by_location(read: Config) -> dict[str, Settings]:
    distinct, numbers = route_settings(passes(read))
    return {f"{one.location} {one.target.address}": distinct[number] for one, number in zip(passes(read), numbers)}


HOST = [["Host", "$host"], ["X-Real-IP", "$remote_addr"]]
COMMON = {"proxy_connect_timeout": [["5s"]], "resolver": [["127.0.0.53", "valid=10s"]]}


def test_a_level_with_directives_of_its_own_inherits_none_of_that_name(tmp_path: Path) -> None:
    found = by_location(config(tmp_path))
    own = {**COMMON, "proxy_read_timeout": [["90s"]], "proxy_set_header": [["X-Request-ID", "$request_id"]]}
    assert found["/inherits 127.0.0.1:1"] == {**COMMON, "proxy_read_timeout": [["30s"]], "proxy_set_header": HOST}
    assert found["/own 127.0.0.1:1"] == own
    assert found["/own/inner 127.0.0.1:2"] == own
    assert found["/own 127.0.0.1:3"] == own


def test_each_module_has_its_own_directives(tmp_path: Path) -> None:
    found = by_location(config(tmp_path))
    assert found["/uwsgi 127.0.0.1:4"] == {"resolver": COMMON["resolver"], "uwsgi_read_timeout": [["7s"]]}


def test_settings_that_routes_share_are_held_once(tmp_path: Path) -> None:
    distinct, numbers = route_settings(passes(config(tmp_path)))
    assert (len(distinct), numbers) == (3, [0, 1, 1, 1, 2, 0])


def test_what_holds_for_the_whole_nginx(tmp_path: Path) -> None:
    assert nginx_settings(config(tmp_path)) == {
        "resolver": [["127.0.0.53", "valid=10s"]],
        "user": [["www"]],
        "worker_connections": [["512"]],
        "worker_rlimit_nofile": [["4096"]],
    }


def test_what_fastcgi_is_asked_for(tmp_path: Path) -> None:
    text = """http {
        fastcgi_param SCRIPT_FILENAME /outer.php;
        server {
            root /srv/www;
            location / { proxy_pass http://127.0.0.1:1; }
            location /outer { fastcgi_pass 127.0.0.1:2; }
            location ~ [.]php$ {
                fastcgi_param QUERY_STRING $query_string;
                fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;
                fastcgi_pass 127.0.0.1:3;
            }
        }
    }
    """
    found = by_location(config(tmp_path, text))
    assert found["/ 127.0.0.1:1"] == {}
    assert found["/outer 127.0.0.1:2"] == {"fastcgi_param": [["SCRIPT_FILENAME", "/outer.php"]], "root": [["/srv/www"]]}
    assert found["~ [.]php$ 127.0.0.1:3"]["fastcgi_param"] == [
        ["SCRIPT_FILENAME", "$document_root$fastcgi_script_name"]
    ]


def test_the_key_of_a_client_certificate_is_a_path(tmp_path: Path) -> None:
    text = """http { proxy_ssl_certificate a.pem; proxy_ssl_certificate_key a.key;
        server { location / { proxy_pass https://127.0.0.1:1; } } }"""
    assert by_location(config(tmp_path, text))["/ 127.0.0.1:1"] == {
        "proxy_ssl_certificate": [["a.pem"]],
        "proxy_ssl_certificate_key": [["a.key"]],
    }
