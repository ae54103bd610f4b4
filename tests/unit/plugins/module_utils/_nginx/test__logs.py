# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which logs a configuration names, and who writes there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ansible_collections.sre.bad_gateway.plugins.module_utils._nginx._config import Config, read_config
from ansible_collections.sre.bad_gateway.plugins.module_utils._nginx._logs import COMBINED, access_logs, error_logs
from ansible_collections.sre.bad_gateway.plugins.module_utils._nginx._routes import worker_user

MAIN = """user www;
error_log logs/main.log;
http {
    error_log /var/log/http.log warn;
    server { location / { error_log syslog:server=unix:/dev/log; } error_log /var/log/caf\xe9.log; }
}
stream { error_log /var/log/stream.log; }
"""


def parsed(text: str, directory: Path) -> Config:
    (directory / "nginx.conf").write_bytes(text.encode("latin-1"))
    return read_config("nginx.conf", prefix=str(directory))


def test_error_logs(tmp_path: Path) -> None:
    config = parsed(MAIN, tmp_path)
    found = error_logs(config, default="stderr")
    assert [(one["destination"], one["level"], one["line"]) for one in found] == [
        (f"{config.prefix}/logs/main.log", "error", 2),
        ("/var/log/http.log", "warn", 4),
        ("syslog:server=unix:/dev/log", "error", 5),
        ("/var/log/caf\ufffd.log", "error", 5),
    ]
    assert json.dumps(found, ensure_ascii=False).encode("utf-8")


def test_the_compiled_in_error_log_holds_where_the_main_level_has_none(tmp_path: Path) -> None:
    config = parsed("http { error_log x; }", tmp_path)
    found = [(one["destination"], one["line"]) for one in error_logs(config, default="logs/error.log")]
    assert found == [(f"{tmp_path}/logs/error.log", 0), (f"{tmp_path}/x", 1)]
    assert worker_user(config) is None


HTTP = """http {{
    log_format short '$time_iso8601 ' "$status";
    log_format json escape=json '{{"s":"$status",' '"t":"$msec"}}';
    {http}
    server {{ server_name a.example b.example; {first} }}
    server {{ server_name c.example; {second} }}
}}
"""


@pytest.mark.parametrize(
    ("http", "first", "second", "expected"),
    [
        pytest.param("", "", "", [("PREFIX/logs/access.log", COMBINED, [])], id="compiled in"),
        pytest.param(
            "access_log /l/all.log short;",
            "",
            "access_log /l/c.log json buffer=32k;",
            [
                ("/l/all.log", "$time_iso8601 $status", ["a.example", "b.example"]),
                ("/l/c.log", '{"s":"$status","t":"$msec"}', ["c.example"]),
            ],
            id="one of its own",
        ),
        pytest.param(
            "access_log /l/all.log;",
            "location / { access_log off; location /x { access_log /l/x.log combined if=$failed; } }",
            "",
            [
                ("/l/all.log", COMBINED, []),
                ("off", "", ["a.example", "b.example"]),
                ("/l/x.log", COMBINED, ["a.example", "b.example"]),
            ],
            id="locations",
        ),
        pytest.param(
            "access_log /l/1.log; access_log syslog:server=192.0.2.1 short; access_log logs/$host.log;",
            "",
            "",
            [
                ("/l/1.log", COMBINED, []),
                ("syslog:server=192.0.2.1", "$time_iso8601 $status", []),
                ("PREFIX/logs/$host.log", COMBINED, []),
            ],
            id="several",
        ),
        pytest.param("access_log /l/1.log nosuch;", "", "", [("/l/1.log", "", [])], id="unknown format"),
    ],
)
def test_access_logs(
    http: str, first: str, second: str, expected: list[tuple[str, str, list[str]]], tmp_path: Path
) -> None:
    config = parsed(HTTP.format(http=http, first=first, second=second), tmp_path)
    found = access_logs(config, default="logs/access.log")
    shown = [(one["destination"].replace(str(tmp_path), "PREFIX"), one["format"], one["server_names"]) for one in found]
    assert shown == expected


def test_nothing_to_serve_writes_no_access_log(tmp_path: Path) -> None:
    assert access_logs(parsed("http { access_log /l; }", tmp_path), default="x") == []
