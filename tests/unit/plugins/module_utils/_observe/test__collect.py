# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The whole observation, on whatever host the tests run."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import AppServer, Endpoint, checked
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._app_servers._capacity import NOT_MEASURED
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._collect import (
    ObserveOptions,
    _key_endpoint,
    _unrouted,
    observe,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._logs._files import Window

LAST_DAY = Window(since=time.time() - 24 * 3600, limit=64 << 20)
CONFIG = """\
events {{}}
error_log {directory}/error.log;
http {{
    upstream two {{ server 127.0.0.1:{port}; server unix:{directory}/gone/app.sock; }}
    server {{
        listen 127.0.0.1:1;
        server_name shop.example;
        location / {{ proxy_pass http://two; }}
    }}
}}
"""


def write_config(directory: Path, port: int) -> str:
    path = directory / "nginx.conf"
    path.write_text(CONFIG.format(directory=directory, port=port))
    return str(path)


def test_an_observation_is_whole_and_says_what_nginx_would_meet(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        options = ObserveOptions(LAST_DAY, nginx_config=write_config(tmp_path, port), probe="connect")
        observation = observe(options)
    assert checked(json.loads(json.dumps(observation)), source="test") == observation
    (nginx,) = observation["nginx"]
    assert [(route["id"], route["upstream"]) for route in nginx["routes"]] == [("shop.example:1 /", "two")]
    gone = f"unix:{tmp_path}/gone/app.sock"
    outcomes = {probe["endpoint"]: probe["outcome"] for probe in observation["probes"]}
    assert outcomes[f"tcp:127.0.0.1:{port}"] == "connected"
    assert outcomes[gone] in ("missing", "denied")  # the worker's user need not see the tests' directory
    assert [(file["path"], file["missing_parent"]) for file in observation["socket_files"]] == [
        (gone[len("unix:") :], f"{tmp_path}/gone")
    ]
    assert [log["path"] for log in observation["error_logs"]] == [f"{tmp_path}/error.log"]


def test_switched_off_probes_are_said(tmp_path: Path) -> None:
    observation = observe(ObserveOptions(LAST_DAY, nginx_config=write_config(tmp_path, 1), probe="none"))
    assert observation["probes"] == []
    assert {"what": "probes", "why": "switched off by the option probe"} in observation["missed"]


def test_a_main_file_that_does_not_exist_is_an_observation_too(tmp_path: Path) -> None:
    observation = observe(ObserveOptions(LAST_DAY, nginx_config=str(tmp_path / "no.conf"), probe="none"))
    assert observation["nginx"] == []
    assert {"what": f"nginx with {tmp_path}/no.conf", "why": "no such file"} in observation["missed"]


def app(*listens: str, kind: str = "gunicorn") -> AppServer:
    return AppServer(
        kind=kind,
        unit=None,
        pids=[1],
        running_since="",
        binds=[],
        binds_known=False,
        binds_from="",
        listens=list(listens),
        settings={},
        settings_from={},
        settings_known=False,
        version="",
        capacity=NOT_MEASURED,
    )


def routed(key: str, *addresses: str) -> Endpoint:
    endpoint = _key_endpoint(key, protocol="http")
    endpoint["addresses"] = list(addresses)
    return endpoint


@pytest.mark.parametrize(
    ("listens", "route", "unrouted"),
    [
        pytest.param("tcp:127.0.0.1:8000", routed("tcp:127.0.0.1:8000", "127.0.0.1"), False, id="same"),
        pytest.param("tcp:127.0.0.1:8000", routed("tcp:localhost:8000", "::1", "127.0.0.1"), False, id="by name"),
        pytest.param("tcp:0.0.0.0:8000", routed("tcp:192.0.2.1:8000", "192.0.2.1"), False, id="on all addresses"),
        pytest.param("tcp:127.0.0.1:8000", routed("tcp:127.0.0.1:8001", "127.0.0.1"), True, id="another port"),
        pytest.param("tcp:127.0.0.1:8000", routed("tcp:192.0.2.1:8000", "192.0.2.1"), True, id="another address"),
        pytest.param("unix:/run/a.sock", routed("unix:/run/a.sock"), False, id="same path"),
        pytest.param("unix:/run/a.sock", routed("unix:/run/b.sock"), True, id="another path"),
    ],
)
def test_listeners_that_no_route_leads_to(listens: str, route: Endpoint, unrouted: bool) -> None:
    assert [one["key"] for one in _unrouted([app(listens)], [route])] == ([listens] if unrouted else [])


def test_protocols_of_listeners_that_no_route_names() -> None:
    found = _unrouted([app("tcp:0.0.0.0:1", kind="uwsgi"), app("tcp:[::]:2"), app("unix:/x", kind="php-fpm")], [])
    assert [(one["protocol"], one["addresses"]) for one in found] == [
        ("uwsgi", ["127.0.0.1"]),
        ("http", ["::1"]),
        ("fastcgi", []),
    ]


def test_an_unknown_daemons_socket_file_is_left_alone() -> None:
    assert _unrouted([app("unix:/run/daemon.sock", kind="other")], []) == []


def test_headers_with_credentials_stay_on_the_host(tmp_path: Path) -> None:
    (tmp_path / "nginx.conf").write_text(
        """events {} http { proxy_set_header Authorization "Basic c2VjcmV0"; proxy_set_header Cookie $http_cookie;
        proxy_set_header Host $host; server { location / { proxy_pass http://127.0.0.1:9; } } }"""
    )
    observation = observe(ObserveOptions(LAST_DAY, nginx_config=str(tmp_path / "nginx.conf"), probe="none"))
    (nginx,) = observation["nginx"]
    settings = nginx["route_settings"][nginx["routes"][0]["settings"]]
    assert settings["proxy_set_header"] == [["Authorization", "***"], ["Cookie", "$http_cookie"], ["Host", "$host"]]
    assert "c2VjcmV0" not in repr(observation)


def test_what_only_some_hosts_need_is_not_imported_before() -> None:
    """Each host compiles it anew."""
    look = f"import sys; sys.path[:0] = {sys.path!r}; import {observe.__module__}; print(*sys.modules)"
    imported = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True).stdout.split()
    own = {name.rpartition(".")[2] for name in imported if ".bad_gateway." in name}
    assert "_collect" in own
    assert not own & {"_observation", "_grammar", "_gunicorn", "_python_file", "_php_fpm", "_packet_filter"}
