# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Capacity of a uWSGI and of PHP-FPM's pools, on a host whose systemd is made of files; settings are read for real."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.sre.bad_gateway.plugins.module_utils._change import (
    _app_capacity,
    _journal,
    _listening,
    _rollback,
    _worker_pools,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._app_capacity import (
    Outcome,
    Wish,
    apply,
    differences,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._errors import ChangeError
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._systemd import SystemdError
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._worker_pools import CapacityError
from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import AppCapacity, AppServer, Listener
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._app_servers._capacity import NOT_MEASURED
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._app_servers._php_fpm import read_php_fpm
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._app_servers._start import Start
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._app_servers._uwsgi import read_uwsgi
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._shared import Notes
from ansible_collections.sre.bad_gateway.tests.unit.plugins.module_utils._change._systemd_double import Systemd

UNIT = "shop.service"
MIB = 1 << 20
UWSGI = "[uwsgi]\nsocket = /run/shop.sock\nprocesses = 1 ; few\nlisten=3\n"
POOL = "[www]\nlisten = /run/shop.sock\nlisten.backlog = 3\npm = dynamic\npm.max_children = 5\n"
SPARE = "pm.start_servers = 2\npm.min_spare_servers = 1\npm.max_spare_servers = 3\n"


class Host:
    """One unit with its settings file, which is read as the app server would."""

    def __init__(self, systemd: Systemd, directory: Path) -> None:
        self.systemd, self.directory = systemd, directory
        self.kind = "uwsgi"
        self.argv: tuple[str, ...] = ()
        self.queue: int | None = 3  # that the kernel has
        self.measured: dict[str, Any] = {"cpus": 2.0, "memory_per_worker": 10 * MIB, "workers_running": 1}
        self.deaf = False  # after what is done to it

    def start(self, text: str = UWSGI, *, running: bool = True, reloads: bool = True, options: str = "") -> None:
        self.kind = "php-fpm" if "pm." in text else "uwsgi"
        self.file.write_text(text)
        program = self.directory / "php-fpm8.2"
        program.write_text("#!/bin/sh\nfor file; do :; done\n! grep 'max_children = 13' $file\n")
        program.chmod(0o755)
        self.argv = (
            (str(program), "-y", str(self.file)) if self.kind == "php-fpm" else ("uwsgi", "--ini", str(self.file))
        )
        self.argv += tuple(options.split())
        self.systemd.add(UNIT, running=running, CanReload="yes" if reloads else "no")

    @property
    def file(self) -> Path:
        return self.directory / ("shop.ini" if self.kind == "uwsgi" else "www.conf")

    def find_app_servers(self, **_known: Any) -> list[AppServer]:
        start = Start(argv=self.argv, environment={}, directory=Path("/"), source="ExecStart")
        reading = (read_uwsgi if self.kind == "uwsgi" else read_php_fpm)(start, notes=Notes())
        settings, sources = reading.shown()
        running = self.systemd.is_running(UNIT)
        return [
            AppServer(
                kind=self.kind,
                unit=UNIT,
                pids=[1] if running else [],
                binds=reading.binds,
                binds_known=True,
                binds_from=reading.binds_from,
                listens=[],
                settings=settings,
                settings_from=sources,
                settings_known=True,
                version="",
                capacity=AppCapacity(**{**NOT_MEASURED, **(self.measured if running else {})}),  # type: ignore[typeddict-item]
            )
        ]

    def read_listeners(self, **_known: Any) -> list[Listener]:
        one: Any = {"transport": "unix", "address": "/run/shop.sock", "backlog": self.queue}
        return [one] if self.systemd.is_running(UNIT) else []

    def listens(self, _endpoint: str) -> bool:
        return not (self.deaf and {f"restart {UNIT}", f"reload {UNIT}"} & set(self.systemd.asked))


@pytest.fixture
def host(systemd: Systemd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    one = Host(systemd, tmp_path)
    monkeypatch.setattr(_worker_pools, "read_processes", lambda **_known: None)
    monkeypatch.setattr(
        _worker_pools,
        "read_units",
        lambda *_names, **_known: SimpleNamespace(facts=[SimpleNamespace(name=UNIT, argv=one.argv)]),
    )
    monkeypatch.setattr(_worker_pools, "find_app_servers", one.find_app_servers)
    monkeypatch.setattr(_worker_pools, "read_listeners", one.read_listeners)
    monkeypatch.setattr(_listening, "listens", one.listens)
    (tmp_path / "meminfo").write_text("MemTotal: 4096000 kB\nMemAvailable: 2048000 kB\n")
    (tmp_path / "somaxconn").write_text("4096\n")
    monkeypatch.setattr(_app_capacity, "_MEMORY", tmp_path / "meminfo")
    monkeypatch.setattr(_app_capacity, "SOMAXCONN", tmp_path / "somaxconn")
    return one


def make(*, check_mode: bool = False, **wish: Any) -> Outcome:
    return apply(Wish(unit=UNIT, **wish), check_mode=check_mode)


def numbers(outcome: Outcome) -> dict[str, tuple[int | None, int | None]]:
    return {setting.name: (setting.before, setting.after) for setting in outcome.settings}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(UWSGI, "[uwsgi]\nsocket = /run/shop.sock\nprocesses = 5 ; few\nlisten=511\n", id="uWSGI"),
        pytest.param(
            "[uwsgi]\r\nsocket = /run/shop.sock\r\n",
            "[uwsgi]\r\nsocket = /run/shop.sock\r\nlisten = 511\r\nprocesses = 5\r\n",
            id="uWSGI, nothing set",
        ),
        pytest.param(
            "[a]\nsocket = /run/shop.sock\nworkers = 2\n",
            "[a]\nsocket = /run/shop.sock\nlisten = 511\nworkers = 5\n",
            id="uWSGI, another section",
        ),
        pytest.param(
            POOL + SPARE,
            POOL.replace("backlog = 3", "backlog = 511").replace("children = 5", "children = 20") + SPARE,
            id="PHP-FPM",
        ),
        pytest.param(
            POOL.replace("listen.backlog = 3\n", ""),
            POOL.replace("listen.backlog = 3\n", "").replace("children = 5", "children = 20"),
            id="PHP-FPM, whose own queue is long enough",
        ),
    ],
)
def test_what_suits_is_set_where_it_is_in_force(before: str, after: str, host: Host) -> None:
    host.start(before)
    if "[a]" in before:
        host.argv = ("uwsgi", "--ini", f"{host.file}:a")
    outcome = make(activate="restart")
    assert host.file.read_bytes().decode() == after
    action = "restart" if "511" in after else "reload"  # which is enough for workers
    assert outcome.changes == [str(host.file), f"{UNIT}: {action}"]


def test_a_second_run_changes_nothing(host: Host) -> None:
    host.start()
    make(activate="restart")
    host.queue = 511
    host.systemd.asked.clear()
    outcome = make(activate="restart")
    assert (outcome.changes, outcome.pending, host.systemd.asked) == ([], [], [])
    assert {setting.name: setting.why.split(";")[0] for setting in outcome.settings} == {
        "processes": "set to that",
        "listen": "long enough",
    }


def test_check_mode_tells_the_same_and_does_nothing(host: Host) -> None:
    host.start()
    would = make(activate="restart", check_mode=True)
    assert (host.file.read_text(), host.systemd.asked) == (UWSGI, [])
    did = make(activate="restart")
    assert (would.changes, would.settings, differences(would)) == (did.changes, did.settings, differences(did))


@pytest.mark.parametrize("text", [UWSGI, POOL], ids=["uWSGI", "PHP-FPM"])
def test_what_is_set_is_never_made_less_by_itself(text: str, host: Host) -> None:
    chosen = text.replace("= 1", "= 50").replace("= 5\n", "= 50\n").replace("=3", "=1000").replace("= 3", "= 1000")
    host.start(chosen)
    host.queue = 1000
    assert make(activate="restart").changes == []


def test_what_was_asked_for_wins(host: Host) -> None:
    host.start(UWSGI.replace("= 1", "= 50"))
    outcome = make(workers=2, backlog=30, activate="restart")
    assert numbers(outcome) == {"processes": (50, 2), "listen": (3, 30)}
    assert "processes = 2 ; few\nlisten=30\n" in host.file.read_text()


def test_spare_children_follow(host: Host) -> None:
    host.start(POOL + SPARE)
    outcome = make(workers=2)
    assert numbers(outcome) == {
        "pm.max_children": (5, 2),
        "listen.backlog": (3, 511),
        "pm.max_spare_servers": (3, 2),
    }
    assert host.file.read_text().endswith(SPARE.replace("max_spare_servers = 3", "max_spare_servers = 2"))


def test_memory_is_the_limit(host: Host) -> None:
    host.start()
    host.measured["memory_per_worker"] = 800 * MIB
    assert numbers(make())["processes"] == (1, 3)


@pytest.mark.parametrize(
    ("text", "wish", "after", "why"),
    [
        (UWSGI, {}, 100, "511 would suit, but net.core.somaxconn is 100"),
        (UWSGI, {"backlog": 300}, 100, "300 are asked for, but net.core.somaxconn is 100"),
        (UWSGI.replace("=3", "=200"), {}, 100, "511 would suit, but net.core.somaxconn is 100"),  # it does not start
        (POOL, {}, 100, "511 would suit, but net.core.somaxconn is 100"),
        (POOL.replace("= 3", "= 200"), {}, 200, "511 would suit, but net.core.somaxconn is 100"),
        (POOL.replace("= 3", "= -1"), {}, -1, "as long as the kernel gives"),
    ],
    ids=["uWSGI", "asked for", "uWSGI has more", "PHP-FPM", "PHP-FPM has more", "PHP-FPM has no limit"],
)
def test_no_queue_is_longer_than_the_kernel_gives(
    text: str, wish: dict[str, Any], after: int, why: str, host: Host, tmp_path: Path
) -> None:
    host.start(text)
    (tmp_path / "somaxconn").write_text("100\n")
    backlog = make(**wish).settings[1]
    assert (backlog.after, backlog.why) == (after, why)


@pytest.mark.parametrize(
    ("activate", "reloads", "queue", "action", "pending"),
    [
        pytest.param("reload", True, 3, "reload", ["listen"], id="a queue keeps its length at a reload"),
        pytest.param("reload", True, 511, "reload", [], id="but it has that length"),
        pytest.param("reload", True, None, "reload", ["listen"], id="or nobody could see it"),
        pytest.param("reload", False, 3, "none", ["processes", "listen"], id="the unit offers no reload"),
        pytest.param("restart", True, 3, "restart", [], id="restart for the queue"),
        pytest.param("restart", True, 511, "reload", [], id="no restart where a reload is enough"),
        pytest.param("restart", False, 511, "restart", [], id="restart where there is no reload"),
        pytest.param("none", True, 3, "none", ["processes", "listen"], id="left alone"),
    ],
)
def test_how_the_unit_takes_it_up(
    activate: str, reloads: bool, queue: int | None, action: str, pending: list[str], host: Host
) -> None:
    host.start(reloads=reloads)
    host.queue = queue
    outcome = make(activate=activate)
    assert (outcome.action, outcome.pending) == (action, pending)
    done = [asked for asked in host.systemd.asked if asked.startswith(("reload ", "restart "))]
    assert done == ([] if action == "none" else [f"{action} {UNIT}"])


def test_what_an_earlier_run_left_waiting_is_taken_up(host: Host) -> None:
    host.start()
    make(activate="none")
    waiting = make(activate="reload")
    assert (waiting.changes, waiting.pending) == ([], ["listen"])
    assert make(activate="restart").changes == [f"{UNIT}: restart"]


@pytest.mark.parametrize("queue", [pytest.param(511, id="up to PHP 8.1"), pytest.param(4096, id="from PHP 8.2 on")])
def test_a_queue_that_nobody_set_waits_for_no_restart(queue: int, host: Host) -> None:
    host.start(POOL.replace("listen.backlog = 3\n", ""))
    host.queue = queue
    outcome = make(activate="restart", workers=5)
    assert (outcome.changes, outcome.pending) == ([], [])
    assert outcome.settings[1].why == "not set, and long enough so"


def test_what_does_not_run_is_not_started(host: Host) -> None:
    host.start(running=False)
    outcome = make(activate="restart", workers=4)
    assert (outcome.changes, host.systemd.is_running(UNIT)) == ([str(host.file)], False)
    assert "processes = 4" in host.file.read_text()


def test_how_many_suit_what_does_not_run_is_not_guessed(host: Host) -> None:
    host.start(running=False)
    workers = make(activate="restart").settings[0]
    assert (workers.after, workers.why) == (1, "it does not run, so nothing could be measured")


def test_what_the_command_line_says_is_left_to_it(host: Host) -> None:
    host.start(options="--processes 2")
    outcome = make()
    assert outcome.settings[0].why == f"{UNIT}: ExecStart says processes; change it there"
    assert numbers(outcome) == {"processes": (2, 2), "listen": (3, 511)}
    with pytest.raises(CapacityError, match="ExecStart says processes; change it there"):
        make(workers=4)


def test_a_socket_unit_has_the_queue(host: Host) -> None:
    host.start("[uwsgi]\nmaster = true\n")
    backlog = make().settings[1]
    assert (backlog.after, "Backlog= counts" in backlog.why) == (100, True)


@pytest.mark.parametrize("text", [UWSGI, POOL], ids=["uWSGI", "PHP-FPM"])
def test_what_does_not_listen_any_more_is_put_back(text: str, host: Host) -> None:
    host.start(text)
    host.deaf = True
    with pytest.raises(SystemdError, match=r"does not listen on unix:/run/shop\.sock"):
        make(activate="restart", timeout=0.0)
    assert host.file.read_text() == text
    assert [asked for asked in host.systemd.asked if asked == f"restart {UNIT}"] == [f"restart {UNIT}"] * 2


def test_what_php_fpm_refuses_is_not_written(host: Host) -> None:
    host.start(POOL)
    with pytest.raises(CapacityError, match="PHP-FPM does not accept it, nothing was changed"):
        make(workers=13, check_mode=True)
    with pytest.raises(CapacityError, match="PHP-FPM does not accept it, nothing was changed"):
        make(workers=13)
    assert (host.file.read_text(), _journal.finished()) == (POOL, [])


def test_what_is_not_in_force_where_it_was_written_is_put_back(host: Host) -> None:
    text = "[uwsgi]\nprocesses = 1\n[live]\nsocket = /run/shop.sock\nprocesses = 2\n"
    host.start(text)
    host.argv = ("uwsgi", "--ini", f"{host.file}:live")
    with pytest.raises(CapacityError, match=r"still says 2 for processes, not 5; change it there"):
        make()
    assert (host.file.read_text(), host.systemd.asked) == (text, [])


def test_a_file_of_several_sections_is_left_alone(host: Host) -> None:
    host.start("[a]\nsocket = /run/shop.sock\n[b]\n")
    host.argv = ("uwsgi", "--ini", f"{host.file}:a")
    with pytest.raises(CapacityError, match=r"2 sections and no \[uwsgi\]"):
        make()


def test_a_rollback_brings_all_back(host: Host) -> None:
    host.start()
    make(activate="restart")
    _rollback.roll_back(run_id="", force=False, check_mode=False)
    assert host.file.read_text() == UWSGI
    assert host.systemd.asked[-1] == f"restart {UNIT}"


def test_the_diff_shows_no_secret(host: Host) -> None:
    host.start(UWSGI + "env = DJANGO_KEY=hidden1\nsmtp-password = hidden2\r\nlog = http://me:hidden3@logs/\n")
    (shown,) = differences(make(check_mode=True))
    assert "hidden" not in shown["before"] + shown["after"]
    assert shown["after"] == shown["before"].replace("= 1 ;", "= 5 ;").replace("listen=3", "listen=511")
    assert "\nenv =***\nsmtp-password =***\r\nlog = http://***@logs/\n" in shown["after"]


@pytest.mark.parametrize("wish", [{"workers": 0}, {"backlog": -1}])
def test_nothing_less_than_one_can_be_asked_for(wish: dict[str, Any]) -> None:
    with pytest.raises(ChangeError, match="one is the least"):
        make(**wish)
