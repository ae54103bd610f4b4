# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which app server a command line starts, and where it is installed."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._app_servers._start import (
    Start,
    expanded,
    prefixes_of,
    program_of,
)


@pytest.mark.parametrize(
    ("argv", "kind"),
    [
        ("gunicorn: master [wsgi:application]", "gunicorn"),
        ("/usr/bin/python3 /usr/bin/gunicorn app:app", "gunicorn"),
        ("/srv/venv/bin/python3.12 -m gunicorn app:app", "gunicorn"),
        ("/usr/bin/env PORT=1 gunicorn app:app", "gunicorn"),
        ("/bin/sh -c exec gunicorn app:app", "gunicorn"),
        ("/usr/bin/uwsgi-core --ini x.ini", "uwsgi"),
        ("/srv/venv/bin/python /srv/venv/bin/uvicorn app:app", "uvicorn"),
        ("php-fpm: master process (/etc/php/8.2/fpm/php-fpm.conf)", "php-fpm"),
        ("/usr/sbin/php-fpm8.2 -F", "php-fpm"),
        ("/usr/bin/node server.js", "node"),
        ("/usr/bin/node_exporter", None),
        ("/usr/bin/python3 /srv/app/server.py", None),
        ("vim gunicorn.conf.py", None),
        ("puma 6.4.0 (tcp://0.0.0.0:9292) [app]", "puma"),
        ("puma: cluster worker 0: 12 [app]", "puma"),
        ("/usr/bin/ruby /usr/bin/puma -C config/puma.rb", "puma"),
        ("/usr/local/bin/bundle exec puma", "puma"),
        ("/usr/bin/poetry run gunicorn app:app", "gunicorn"),
        ("/usr/bin/hypercorn app:app", "hypercorn"),
        ("/etc/init.d/uwsgi start", "uwsgi"),
        ("/usr/bin/npm-check", None),
        ("", None),
    ],
)
def test_kinds(argv: str, kind: str | None) -> None:
    assert program_of([argv] if ": " in argv else argv.split()) == kind


def test_variables_are_replaced_and_unknown_ones_stay() -> None:
    assert expanded(["$A", "${B}:1", "$C"], {"A": "a", "B": "b"}) == ("a", "b:1", "$C")


def test_a_variable_that_stands_alone_is_as_many_words_as_it_looks() -> None:
    environment = {"OPTIONS": "--workers 3 --name 'my shop'", "EMPTY": ""}
    argv = ["gunicorn", "$OPTIONS", "$EMPTY", "x$OPTIONS", "${OPTIONS}"]
    options = environment["OPTIONS"]
    assert expanded(argv, environment) == ("gunicorn", "--workers", "3", "--name", "my shop", f"x{options}", options)


@pytest.mark.parametrize(
    ("argv", "prefixes"),
    [
        (["/srv/venv/bin/gunicorn", "app:app"], ["/srv/venv"]),
        (["/srv/venv/bin/python", "-m", "gunicorn"], ["/srv/venv"]),
        (["gunicorn", "-c", "/etc/app/gunicorn.conf.py"], ["/opt/on-path", "/usr", "/usr/local"]),
        (["/usr/sbin/php-fpm8.2"], ["/usr", "/usr/local"]),
    ],
)
def test_prefixes(argv: list[str], prefixes: list[str]) -> None:
    found = prefixes_of(argv, {"PATH": "/opt/on-path/bin:/usr/bin"})
    assert [str(prefix) for prefix in found] == prefixes


@pytest.mark.parametrize(
    ("directory", "root", "text", "path"),
    [
        ("/srv", "", "a.py", "/srv/a.py"),
        ("/srv", "", "/etc/a.py", "/etc/a.py"),
        (None, "", "/etc/a.py", "/etc/a.py"),
        (None, "", "a.py", None),
        ("/srv", "/proc/7/root", "a.py", "/proc/7/root/srv/a.py"),
    ],
)
def test_paths_as_the_app_server_finds_them(directory: str | None, root: str, text: str, path: str | None) -> None:
    start = Start(
        argv=(), environment={}, directory=None if directory is None else Path(directory), source="", root=root
    )
    assert start.path(text) == (None if path is None else Path(path))
