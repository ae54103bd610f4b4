# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""gunicorn's workers, more and fewer, against a master that does what signals say."""

from __future__ import annotations

import os
import signal
import time
from typing import Any, Callable

import pytest

from ansible_collections.sre.bad_gateway.plugins.module_utils._change import _live_workers
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._live_workers import (
    WorkersError,
    bring_to,
    master_of,
    running,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._processes import Process, ProcessTable

UNIT = "shop.service"
PYTHON = ("/usr/bin/python3", "/usr/bin/gunicorn", "--bind", "127.0.0.1:8000", "shop:app")
TITLED = ("gunicorn: master [shop:app]",)


def process(pid: int, parent: int = 1, *, argv: tuple[str, ...] = PYTHON, unit: str = UNIT) -> Process:
    return Process(
        pid=pid, parent=parent, name="x", argv=argv, exe="/usr/bin/python3", uid=33, gid=33, started=0.0, unit=unit
    )


def table(*processes: Process) -> ProcessTable:
    return ProcessTable({one.pid: one for one in processes})


@pytest.mark.parametrize(
    ("processes", "master"),
    [
        pytest.param([process(10), process(11, 10), process(12, 10)], 10, id="plain"),
        pytest.param([process(10, argv=TITLED), process(11, 10, argv=("gunicorn: worker [x]",))], 10, id="titles"),
        pytest.param(
            [process(9, argv=("/bin/sh", "-c", "gunicorn shop:app")), process(10, 9), process(11, 10)],
            10,
            id="below a shell",
        ),
        pytest.param(
            [process(9, argv=("tini", "--", "gunicorn", "x")), process(10, 9), process(11, 10)], 10, id="below tini"
        ),
        pytest.param([process(10, unit="blog.service"), process(20, argv=("/usr/sbin/nginx",))], None, id="none"),
    ],
)
def test_who_starts_the_workers(processes: list[Process], master: int | None) -> None:
    found = master_of(UNIT, table(*processes))
    assert (found.pid if found else None) == master


def test_two_masters_are_one_too_many() -> None:
    with pytest.raises(WorkersError, match=r"^shop\.service: it runs 2 gunicorn, and only one can be meant"):
        master_of(UNIT, table(process(10), process(20)))


class Gunicorn:
    """Time passes while somebody sleeps, and processes change when somebody looks."""

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self.lives = True
        self.told: list[int] = []
        self.now = 0.0
        self.before_look: Callable[[], None] = lambda: None
        self.obeys = True

    def kill(self, pid: int, what: int) -> None:
        assert pid == 10
        self.told.append(what)
        if self.obeys:
            self.workers += {signal.SIGTTIN: 1, signal.SIGTTOU: -1}[signal.Signals(what)]

    def look(self, **_notes: Any) -> ProcessTable:
        self.before_look()
        workers = [process(100 + number, 10) for number in range(self.workers)]
        helper = process(99, 10, argv=("python3", "-c", "from multiprocessing.resource_tracker import main"))
        return table(process(10), helper, *workers) if self.lives else table()

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def gunicorn(monkeypatch: pytest.MonkeyPatch) -> Gunicorn:
    one = Gunicorn(3)
    monkeypatch.setattr(_live_workers, "read_processes", one.look)
    monkeypatch.setattr(os, "kill", one.kill)
    monkeypatch.setattr(time, "sleep", one.sleep)
    monkeypatch.setattr(time, "monotonic", lambda: one.now)
    return one


@pytest.mark.parametrize(
    ("wanted", "told"),
    [(5, [signal.SIGTTIN] * 2), (1, [signal.SIGTTOU] * 2), (3, [])],
    ids=["more", "fewer", "as many"],
)
def test_one_signal_for_each_worker(gunicorn: Gunicorn, wanted: int, told: list[int]) -> None:
    bring_to(UNIT, wanted)
    assert (gunicorn.workers, gunicorn.told) == (wanted, told)


def test_a_signal_that_was_lost_is_sent_again(gunicorn: Gunicorn) -> None:
    gunicorn.obeys = False

    def obey_later() -> None:
        gunicorn.obeys = gunicorn.now > 30

    gunicorn.before_look = obey_later
    bring_to(UNIT, 4)
    assert (gunicorn.workers, gunicorn.told) == (4, [signal.SIGTTIN] * 2)


def test_workers_that_do_not_come_are_told(gunicorn: Gunicorn) -> None:
    gunicorn.obeys = False
    with pytest.raises(WorkersError, match=r"^shop\.service: 3 workers run after 180 s, not 5"):
        bring_to(UNIT, 5)


def test_a_master_that_its_new_worker_takes_down_is_told(gunicorn: Gunicorn) -> None:
    def end_soon() -> None:
        gunicorn.lives = gunicorn.now < 1

    gunicorn.before_look = end_soon
    with pytest.raises(WorkersError, match=r"^shop\.service: its gunicorn ended meanwhile; see `systemctl status"):
        bring_to(UNIT, 4)


def test_a_worker_that_is_being_replaced_counts(gunicorn: Gunicorn) -> None:
    def replace() -> None:
        gunicorn.workers = 3 if 0.1 < gunicorn.now < 0.3 else 4

    gunicorn.before_look = replace
    assert running(UNIT) == 4


def test_none_runs(gunicorn: Gunicorn) -> None:
    gunicorn.lives = False
    assert running(UNIT) is None
    bring_to(UNIT, 4)
    assert gunicorn.told == []
