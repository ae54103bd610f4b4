# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._systemd_text import (
    parse_environment,
    parse_environment_file,
    parse_exec,
)

NGINX_EXEC = (
    "{ path=/usr/sbin/nginx ; argv[]=/usr/sbin/nginx -g daemon on; master_process on; ; ignore_errors=no ; "
    "start_time=[Sat 2026-11-21 04:59:09 UTC] ; stop_time=[n/a] ; pid=40 ; code=exited ; status=0 }"
)


@pytest.mark.parametrize(
    ("text", "argv"),
    [
        pytest.param("", (), id="none"),
        pytest.param(NGINX_EXEC, ("/usr/sbin/nginx", "-g", "daemon", "on;", "master_process", "on;"), id="semicolons"),
        pytest.param(
            NGINX_EXEC + "\n" + "{ path=/bin/b ; argv[]=/bin/b x ; ignore_errors=no ; }",
            ("/bin/b", "x"),
            id="last of several",
        ),
    ],
)
def test_exec_start(text: str, argv: tuple[str, ...]) -> None:
    assert parse_exec(text) == argv


@pytest.mark.parametrize(
    ("text", "environment"),
    [
        ("PORT=8000 NODE_ENV=production", {"PORT": "8000", "NODE_ENV": "production"}),
        ('"GUNICORN_CMD_ARGS=--bind=:9000 -w 3" A=b=c', {"GUNICORN_CMD_ARGS": "--bind=:9000 -w 3", "A": "b=c"}),
        ("", {}),
    ],
)
def test_environment(text: str, environment: dict[str, str]) -> None:
    assert parse_environment(text) == environment


def test_environment_file() -> None:
    text = '# comment\n; comment\nPORT=8000\nNAME="a b"\n EMPTY=\nno assignment\nLONG=a\\\nb\n'
    assert parse_environment_file(text) == {"PORT": "8000", "NAME": "a b", "EMPTY": "", "LONG": "ab"}
