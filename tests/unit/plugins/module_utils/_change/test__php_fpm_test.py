# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""PHP-FPM's judgement of settings that are not in place. PHP-FPM is played: it tells what it was given to read."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.sre.bad_gateway.plugins.module_utils._change._php_fpm_test import require_valid
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._worker_pools import CapacityError

PHP_FPM = """#!/bin/sh
for file; do :; done
echo "$@" > "$0.asked"
cp "$file" "$0.read"
grep -q refused "$file" && { echo "ERROR: [$file:3] it is refused" >&2; exit 78; }
exit 0
"""


@pytest.fixture
def php_fpm(tmp_path: Path) -> Path:
    path = tmp_path / "php-fpm8.2"
    path.write_text(PHP_FPM)
    path.chmod(0o755)
    return path


@pytest.fixture
def main(tmp_path: Path) -> Path:
    """A main file that includes two pools, and goes on behind them; one pool's file has no line end."""
    pools = tmp_path / "pool.d"
    pools.mkdir()
    (pools / "b.conf").write_bytes(b"[b]\r\nuser = b\xe9\x85\r\n")
    (pools / "a.conf").write_bytes(b"[a]\nuser = a")
    path = tmp_path / "php-fpm.conf"
    path.write_text(f'[global]\n;include = /nowhere\n include = "{pools}/*.conf" ; all\nlisten = 9000\n')
    return path


def test_it_reads_all_that_is_included_with_what_is_new(php_fpm: Path, main: Path) -> None:
    new = {str(main.parent / "pool.d/a.conf"): "[a]\nuser = new\n"}
    require_valid([str(php_fpm), "--nodaemonize", "--fpm-config", "/etc/old"], main, new)
    assert Path(f"{php_fpm}.read").read_bytes() == (
        b"[global]\n;include = /nowhere\n[a]\nuser = new\n[b]\r\nuser = b\xe9\x85\r\nlisten = 9000\n"
    )
    asked = Path(f"{php_fpm}.asked").read_text().split()
    assert asked[:-1] == ["--nodaemonize", "--fpm-config", "/etc/old", "--test", "--fpm-config"]


def test_lines_of_a_file_without_a_line_end_stay_apart(php_fpm: Path, main: Path) -> None:
    require_valid([str(php_fpm)], main, {})
    assert b"user = a\n[b]" in Path(f"{php_fpm}.read").read_bytes()


def test_what_it_refuses_is_told_with_the_name_of_its_own_file(php_fpm: Path, main: Path) -> None:
    with pytest.raises(CapacityError) as caught:
        require_valid([str(php_fpm)], main, {str(main.parent / "pool.d/a.conf"): "refused\n"})
    expected = f"{main}: PHP-FPM does not accept it, nothing was changed: ERROR: [{main}:3] it is refused"
    assert str(caught.value) == expected


def test_where_it_cannot_be_asked_nothing_is_changed(main: Path) -> None:
    with pytest.raises(CapacityError, match="it could not be tested, so nothing was changed"):
        require_valid(["/nowhere/php-fpm"], main, {})
