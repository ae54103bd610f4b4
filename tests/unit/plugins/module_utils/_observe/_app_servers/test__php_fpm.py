# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""PHP-FPM's pools."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._app_servers._php_fpm import (
    read_php_fpm,
    seconds,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._app_servers._reading import Reading
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._app_servers._start import Start
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._shared import Notes


@pytest.fixture
def main(tmp_path: Path) -> Path:
    """A main file that includes two pools, as Debian has it."""
    (tmp_path / "pool.d").mkdir()
    path = tmp_path / "php-fpm.conf"
    path.write_text(f"[global]\nerror_log = /var/log/fpm.log\ninclude={tmp_path}/pool.d/*.conf\n")
    (tmp_path / "pool.d/shop.conf").write_text(
        "; listen = no\n[shop]\nuser = shop\nlisten = /run/php/$pool.sock ; why\nlisten.owner = www-data\n"
        'listen.mode = "0666"\nlisten.backlog = 64\npm = static\npm.max_children = 4\nrequest_terminate_timeout = 1m\n'
    )
    (tmp_path / "pool.d/blog.conf").write_text("[blog]\nlisten = 9001\npm.max_children = 6\n")
    return path


def read(command: str, *, notes: Notes | None = None) -> Reading:
    argv = (command,) if command.startswith("php-fpm: ") else tuple(command.split())
    start = Start(argv=argv, environment={}, directory=Path("/"), source="ExecStart")
    return read_php_fpm(start, notes=notes or Notes())


@pytest.mark.parametrize(
    "command",
    [
        "/usr/sbin/php-fpm8.2 --nodaemonize --fpm-config {main}",
        "/usr/sbin/php-fpm8.2 -y {main}",
        "php-fpm: master process ({main})",
    ],
)
def test_pools(main: Path, command: str) -> None:
    reading = read(command.format(main=main))
    assert (reading.binds, reading.binds_known) == (["tcp:0.0.0.0:9001", "unix:/run/php/shop.sock"], True)
    assert reading.binds_from == f"{main.parent}/pool.d/blog.conf"
    shop, blog = reading.get("pools")["shop"], reading.get("pools")["blog"]
    assert {
        name: shop[name]
        for name in ("bind", "listen.owner", "listen.mode", "backlog", "pm", "workers", "request_timeout", "user")
    } == {
        "bind": "unix:/run/php/shop.sock",
        "listen.owner": "www-data",
        "listen.mode": "0666",
        "backlog": 64,
        "pm": "static",
        "workers": 4,
        "request_timeout": 60,
        "user": "shop",
    }
    assert (blog["backlog"], blog["request_timeout"], blog["listen.mode"]) == (None, 0, "0660")
    assert (reading.get("error_log"), reading.settings_from["error_log"]) == ("/var/log/fpm.log", str(main))


def test_several_pools_are_added_up_where_that_has_a_meaning(main: Path) -> None:
    reading = read(f"php-fpm -y {main}")
    names = ("workers", "concurrency", "threads", "idle_timeout", "backlog", "request_timeout")
    assert [reading.get(name) for name in names] == [10, 10, 1, 0, None, None]
    (main.parent / "pool.d/blog.conf").unlink()
    assert [read(f"php-fpm -y {main}").get(name) for name in names] == [4, 4, 1, 0, 64, 60]


def test_files_that_include_each_other_end(main: Path) -> None:
    (main.parent / "pool.d/blog.conf").write_text(f"[blog]\nlisten = 9001\ninclude = {main}\n")
    notes = Notes()
    reading = read(f"php-fpm -y {main}", notes=notes)
    assert (reading.binds_known, reading.settings_known) == (False, False)
    assert notes.entries == [{"what": f"PHP-FPM settings {main}", "why": "included in a circle"}]


def test_a_file_that_is_missing_is_said() -> None:
    notes = Notes()
    reading = read("php-fpm -y /nonexistent.conf", notes=notes)
    assert (reading.binds, reading.binds_known, reading.settings_known) == ([], False, False)
    assert notes.entries == [{"what": "PHP-FPM settings /nonexistent.conf", "why": "No such file or directory"}]


@pytest.mark.parametrize(("text", "value"), [("30", 30), ("30s", 30), ("2m", 120), ("1h", 3600), ("0", 0)])
def test_seconds(text: str, value: int) -> None:
    assert seconds(text) == value
