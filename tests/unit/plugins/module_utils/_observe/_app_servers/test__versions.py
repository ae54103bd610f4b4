# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Versions from the files beside an app server."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._app_servers import _versions
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._app_servers._start import Start


def start(prefix: Path, *argv: str) -> Start:
    return Start(argv=argv, environment={}, directory=prefix, source="ExecStart", prefixes=(prefix,))


@pytest.mark.parametrize(
    ("program", "file", "version"),
    [
        ("gunicorn", "lib/python3.12/site-packages/gunicorn-23.0.0.dist-info", "23.0.0"),
        ("gunicorn", "lib/python3/dist-packages/gunicorn-20.1.0.egg-info", "20.1.0"),
        ("gunicorn", "lib/python3.9/site-packages/gunicorn-20.1.0-py3.9.egg-info", "20.1.0"),
        ("gunicorn", "lib/python3.9/site-packages/gunicorn-24.0.0rc1.dist-info", "24.0.0rc1"),
        ("gunicorn", "lib/python3.9/site-packages/gunicorn_extras-1.0.dist-info", ""),
        ("uwsgi", "lib/python3.12/site-packages/uWSGI-2.0.24.dist-info", "2.0.24"),
        ("uwsgi", "lib/python3.12/site-packages/uwsgi-2.0.28.dist-info", "2.0.28"),
    ],
)
def test_python_distributions(tmp_path: Path, program: str, file: str, version: str) -> None:
    (tmp_path / file).mkdir(parents=True)
    assert _versions.version_of(program, start(tmp_path)) == version


def test_node(tmp_path: Path) -> None:
    versioned = tmp_path / "nvm/versions/node/v20.11.1"
    versioned.mkdir(parents=True)
    assert _versions.version_of("node", start(versioned)) == "20.11.1"
    header = tmp_path / "include/node/node_version.h"
    header.parent.mkdir(parents=True)
    header.write_text(
        "#define NODE_MAJOR_VERSION 22\n#define NODE_MINOR_VERSION 1\n#define NODE_PATCH_VERSION 0\n#define NODE_X 3\n"
    )
    assert _versions.version_of("node", start(tmp_path)) == "22.1.0"


def test_puma(tmp_path: Path) -> None:
    assert _versions.version_of("puma", start(tmp_path), title="puma 5.6.5 (tcp://0.0.0.0:9292) [x]") == "5.6.5"
    (tmp_path / "Gemfile.lock").write_text("GEM\n  specs:\n    puma (6.4.2)\n      nio4r (~> 2.0)\n    puma-x (1.0)\n")
    assert _versions.version_of("puma", start(tmp_path)) == "6.4.2"


@pytest.mark.parametrize(
    ("program", "exe", "version"),
    [
        ("node", "", "18.20.4"),
        ("php-fpm", "/usr/sbin/php-fpm8.2", "8.2.29"),
        ("php-fpm", "/usr/sbin/php-fpm9.9", ""),
    ],
)
def test_debian_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, exe: str, version: str) -> None:
    status = tmp_path / "status"
    status.write_text(
        "Package: nodejs\nStatus: install ok installed\nVersion: 1:18.20.4+dfsg-1~deb12u2\n"
        "Description: x\n Version: 1\n\n"
        "Package: php8.2-fpm\nVersion: 8.2.29-1~deb12u1\n\nPackage: other\n"
    )
    monkeypatch.setattr(_versions, "_DPKG", status)
    monkeypatch.setattr(_versions, "_SYSTEM", tmp_path / "usr")
    assert _versions.version_of(program, start(tmp_path / "usr"), exe=exe) == version
    assert _versions.version_of(program, start(tmp_path), exe=exe) == ""
