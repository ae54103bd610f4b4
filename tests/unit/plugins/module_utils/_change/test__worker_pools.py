# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which pool is meant, and in which file each of its settings is to be changed."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.sre.bad_gateway.plugins.module_utils._change import _worker_pools
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._worker_pools import (
    CapacityError,
    find_pool,
    pools_of,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import AppServer, Listener
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._app_servers._capacity import NOT_MEASURED
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._app_servers._php_fpm import read_php_fpm
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._app_servers._reading import Reading
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._app_servers._start import Start
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._app_servers._uwsgi import read_uwsgi
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._shared import Notes

UNIT = "shop.service"


def app(kind: str, reading: Reading) -> AppServer:
    settings, sources = reading.shown()
    return AppServer(
        kind=kind,
        unit=UNIT,
        pids=[1],
        running_since="",
        binds=reading.binds,
        binds_known=reading.binds_known,
        binds_from=reading.binds_from,
        listens=[],
        settings=settings,
        settings_from=sources,
        settings_known=True,
        version="",
        capacity=NOT_MEASURED,
    )


def start(*argv: str, **environment: str) -> Start:
    return Start(argv=argv, environment=environment, directory=Path("/"), source="ExecStart")


def uwsgi(*argv: str, **environment: str) -> AppServer:
    return app("uwsgi", read_uwsgi(start("uwsgi", *argv, **environment), notes=Notes()))


def listener(path: str, backlog: int) -> Listener:
    return {"transport": "unix", "address": path, "backlog": backlog}  # type: ignore[typeddict-item]


@pytest.fixture
def php(tmp_path: Path) -> AppServer:
    pools = tmp_path / "pool.d"
    pools.mkdir()
    (pools / "blog.conf").write_text(f"[blog]\nlisten = {tmp_path}/blog.sock\npm.max_children = 6\n")
    (pools / "shop.conf").write_text("[shop]\nlisten = 9001\npm.max_children = 4\nlisten.backlog = 5\n")
    (pools / "z.conf").write_text("[shop]\npm.max_children = 5\n")
    main = tmp_path / "php-fpm.conf"
    main.write_text(f"[global]\ninclude = {pools}/*.conf\n")
    return app("php-fpm", read_php_fpm(start("/usr/sbin/php-fpm8.2", "-y", str(main)), notes=Notes()))


def test_the_pools_of_php_fpm(php: AppServer, tmp_path: Path) -> None:
    blog, shop = pools_of(php, [listener(f"{tmp_path}/blog.sock", 511)])
    assert [(pool.name, pool.endpoints, pool.backlog, pool.elsewhere) for pool in (blog, shop)] == [
        ("blog", [f"unix:{tmp_path}/blog.sock"], 511, 5),
        ("shop", ["tcp:0.0.0.0:9001"], None, 6),
    ]
    assert [blog.file_of(name) for name in ("pm.max_children", "listen.backlog")] == [
        f"{tmp_path}/pool.d/blog.conf"
    ] * 2
    assert shop.file_of("pm.max_children") == f"{tmp_path}/pool.d/z.conf"  # the last one counts
    assert shop.file_of("listen.backlog") == f"{tmp_path}/pool.d/shop.conf"


def test_the_file_of_uwsgi_that_counts(tmp_path: Path) -> None:
    first, second = tmp_path / "a.ini", tmp_path / "b.ini"
    first.write_text("[uwsgi]\nsocket = /run/shop.sock\nprocesses = 2\nlisten = 3\n")
    second.write_text("[uwsgi]\nworkers = 4\n")
    (pool,) = pools_of(uwsgi("--ini", str(first), "--ini", str(second)), [listener("/run/shop.sock", 3)])
    assert (pool.file_of("processes"), pool.file_of("listen")) == (str(second), str(first))
    assert (pool.settings["processes"], pool.endpoints, pool.backlog) == (4, ["unix:/run/shop.sock"], 3)


def test_a_file_that_says_nothing_about_workers_comes_last_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Debian's service starts an app: what its package says first is not to be changed."""
    package, app = tmp_path / "default.ini", tmp_path / "app.ini"
    package.write_text("[uwsgi]\nmaster = true\nworkers = 2\nsocket = /run/shop.sock\n")
    app.write_text(f"[uwsgi]\nini = {tmp_path}/common.ini\nmodule = shop\n")
    (tmp_path / "common.ini").write_text("[uwsgi]\nplugins = python3\n")
    monkeypatch.setattr(
        _worker_pools, "_is_own_file", lambda source: source.startswith(str(tmp_path)) and source != str(package)
    )
    (pool,) = pools_of(uwsgi("--ini", str(package), "--ini", str(app)), [])
    assert [pool.file_of(name) for name in ("processes", "listen")] == [str(app)] * 2


@pytest.mark.parametrize(
    "argv", [("--ini", "{ini}"), ("--ini", "{ini}", "--socket", ":1")], ids=["in it", "on the command line"]
)
def test_what_nobody_set_comes_into_the_file_that_has_the_socket_or_into_the_other(
    argv: tuple[str, ...], tmp_path: Path
) -> None:
    ini = tmp_path / "a.ini"
    ini.write_text("[uwsgi]\nmaster = 1\n" + ("" if ":1" in argv else "socket = :1\n"))
    (pool,) = pools_of(uwsgi(*(word.format(ini=ini) for word in argv)), [])
    assert pool.file_of("processes") == str(ini)


@pytest.mark.parametrize(
    ("argv", "environment", "told"),
    [
        (("--processes", "2"), {}, "shop.service: ExecStart says processes; change it there"),
        ((), {"UWSGI_PROCESSES": "2"}, "shop.service: UWSGI_PROCESSES says processes; change it there"),
        (("--yaml", "a.yml"), {}, "shop.service: what says processes cannot be read"),
        ((), {}, "shop.service: it has no settings file of its own that processes could stand in"),
    ],
    ids=["command line", "environment", "a file that is not read", "nowhere"],
)
def test_what_no_file_says_is_left_to_who_says_it(
    argv: tuple[str, ...], environment: dict[str, str], told: str
) -> None:
    (pool,) = pools_of(uwsgi(*argv, "--socket", ":1", **environment), [])
    with pytest.raises(CapacityError) as caught:
        pool.file_of("processes")
    assert str(caught.value) == told


def test_a_file_of_a_package_is_not_changed(tmp_path: Path) -> None:
    ini = tmp_path / "a.ini"
    ini.write_text("[uwsgi]\nchmod-socket = 660\n")
    one = uwsgi("--ini", str(ini), "--socket", ":1")
    one["settings_from"]["processes"] = "/usr/share/uwsgi/conf/default.ini"
    one["binds_from"] = "/usr/share/uwsgi/conf/default.ini"
    (pool,) = pools_of(one, [])
    assert pool.file_of("processes") == str(ini)


@pytest.mark.parametrize(
    ("endpoint", "name"),
    [
        ("unix:{0}/blog.sock", "blog"),
        ("unix:{0}/link.sock", "blog"),
        ("tcp:127.0.0.1:9001", "shop"),
        ("tcp:0.0.0.0:9001", "shop"),
    ],
)
def test_a_pool_is_known_by_where_it_listens(
    endpoint: str, name: str, php: AppServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "link.sock").symlink_to("blog.sock")
    play(monkeypatch, [php])
    pool = find_pool(UNIT, endpoint.format(tmp_path))
    assert (pool.name, pool.argv) == (name, ("/usr/sbin/php-fpm8.2", "-F"))


@pytest.mark.parametrize(
    ("endpoint", "told"),
    [
        (
            None,
            r"it has 2, and one has to be meant; name one by its endpoint of: unix:.*, tcp:0\.0\.0\.0:9001",
        ),
        ("tcp:127.0.0.1:9002", r"0 pools of workers serve tcp:127\.0\.0\.1:9002"),
    ],
)
def test_one_pool_has_to_be_meant(
    endpoint: str | None, told: str, php: AppServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    play(monkeypatch, [php])
    with pytest.raises(CapacityError, match=told):
        find_pool(UNIT, endpoint)


def test_other_app_servers_have_modules_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    play(monkeypatch, [{**uwsgi(), "kind": "gunicorn"}, {**uwsgi(), "unit": "other.service"}])
    with pytest.raises(CapacityError, match="neither uWSGI nor PHP-FPM was found"):
        find_pool(UNIT, None)


def play(monkeypatch: pytest.MonkeyPatch, apps: list[Any]) -> None:
    facts = SimpleNamespace(name=UNIT, argv=("/usr/bin/env", "/usr/sbin/php-fpm8.2", "-F"))
    for name, answer in (
        ("read_processes", None),
        ("read_units", SimpleNamespace(facts=[facts])),
        ("read_listeners", []),
        ("find_app_servers", apps),
    ):
        monkeypatch.setattr(_worker_pools, name, lambda *_args, _answer=answer, **_named: _answer)
