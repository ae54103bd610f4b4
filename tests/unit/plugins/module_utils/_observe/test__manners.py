# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What nginx says at an endpoint, by the directives in force."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import Route, Settings
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._manners import Tls, manner_of


def route(directive: str = "proxy_pass", target: str = "http://backend", **changes: Any) -> Route:
    values: dict[str, Any] = {
        "id": "",
        "server_names": ["*.wild", "shop.example"],
        "listen": [],
        "location": "/",
        "directive": directive,
        "target": target,
        "upstream": None,
        "endpoints": [],
        "variables": False,
        "settings": 0,
        "file": "",
        "line": 1,
    }
    return Route(**{**values, **changes})  # type: ignore[typeddict-item]


@pytest.mark.parametrize(
    ("one", "settings", "host"),
    [
        pytest.param(route(), {}, "backend", id="the default is $proxy_host"),
        pytest.param(route(target="http://10.0.0.1:80/x"), {}, "10.0.0.1", id="without the scheme's own port"),
        pytest.param(route(target="https://10.0.0.1:80"), {}, "10.0.0.1:80", id="with another port"),
        pytest.param(route(target="http://unix:/run/x.sock:/uri"), {}, "localhost", id="unix"),
        pytest.param(route(), {"proxy_set_header": [["Host", "$host"]]}, "shop.example", id="the client's"),
        pytest.param(
            route(), {"proxy_set_header": [["X-A", "b"], ["host", "a.$proxy_host"]]}, "a.backend", id="made up"
        ),
        pytest.param(route(), {"proxy_set_header": [["Host", ""]]}, "", id="none"),
        pytest.param(route(), {"proxy_set_header": [["Host", "$cookie_x"]]}, "shop.example", id="not to be known"),
        pytest.param(route(server_names=["~x"]), {"proxy_set_header": [["Host", "$host"]]}, "localhost", id="no name"),
        pytest.param(route("uwsgi_pass", "10.0.0.1:3031"), {}, "shop.example", id="uwsgi passes the client's"),
        pytest.param(route("grpc_pass", "grpc://10.0.0.1:1"), {"grpc_set_header": [["Host", "g"]]}, "g", id="grpc"),
    ],
)
def test_host(one: Route, settings: Settings, host: str) -> None:
    assert manner_of(one, settings, version="1.22.1", prefix="/etc/nginx").host == host


def tls(settings: Settings, *, version: str = "1.28.0", target: str = "https://api.example:8443") -> Tls:
    found = manner_of(route(target=target), settings, version=version, prefix="/etc/nginx").tls
    if found is None:
        raise ValueError(target)
    return found


def test_by_default_no_name_is_sent_and_nothing_verified() -> None:
    found = tls({})
    assert (found.server_name, found.name, found.trusted) == (None, "api.example", None)


@pytest.mark.parametrize(
    ("settings", "target", "name"),
    [
        ({"proxy_ssl_server_name": [["on"]]}, "https://api.example:8443", "api.example"),
        (
            {"proxy_ssl_server_name": [["on"]], "proxy_ssl_name": [["other.example"]]},
            "https://api.example",
            "other.example",
        ),
        ({"proxy_ssl_server_name": [["on"]], "proxy_ssl_name": [["$host"]]}, "https://api.example", "shop.example"),
        ({"proxy_ssl_server_name": [["on"]]}, "https://10.0.0.1", None),
        ({"proxy_ssl_server_name": [["off"]]}, "https://api.example", None),
    ],
)
def test_the_name_that_is_sent(settings: Settings, target: str, name: str | None) -> None:
    assert tls(settings, target=target).server_name == name


def test_files_count_from_the_main_files_directory_and_only_matter_where_nginx_verifies() -> None:
    settings = {"proxy_ssl_trusted_certificate": [["ca.pem"]], "proxy_ssl_certificate": [["/c.pem"]]}
    assert (tls(settings).trusted, tls(settings).certificate) == (None, "/c.pem")
    assert tls({**settings, "proxy_ssl_verify": [["on"]]}).trusted == "/etc/nginx/ca.pem"


@pytest.mark.parametrize(
    ("version", "oldest", "newest"),
    [("1.22.1", "TLSv1", "TLSv1.2"), ("1.26.3", "TLSv1", "TLSv1.3"), ("1.27.3", "TLSv1.2", "TLSv1.3")],
)
def test_versions_of_tls_by_that_of_nginx(version: str, oldest: str, newest: str) -> None:
    assert (tls({}, version=version).protocols[0], tls({}, version=version).protocols[-1]) == (oldest, newest)


def test_versions_that_are_set() -> None:
    assert tls({"proxy_ssl_protocols": [["TLSv1.3"]]}).protocols == ("TLSv1.3",)


@pytest.mark.parametrize(
    ("settings", "script"),
    [
        (
            {"fastcgi_param": [["SCRIPT_FILENAME", "$document_root$fastcgi_script_name"]], "root": [["/srv"]]},
            "/srv/index.php",
        ),
        ({"fastcgi_param": [["SCRIPT_FILENAME", "/srv/app.php"]], "root": [["/x"]]}, "/srv/app.php"),
        ({"fastcgi_param": [["SCRIPT_FILENAME", "$document_root$uri"]], "root": [["/srv"]]}, ""),
        ({"root": [["/srv"]]}, ""),
    ],
)
def test_the_script_that_is_asked_for(settings: Settings, script: str) -> None:
    one = route("fastcgi_pass", "127.0.0.1:9000")
    assert manner_of(one, settings, version="", prefix="/").script == script
