# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The workers of a gunicorn, those that run and those of its next start, on a host whose systemd is made of files."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.sre.bad_gateway.plugins.module_utils._change import (
    _gunicorn_workers,
    _journal,
    _live_workers,
    _rollback,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._gunicorn_workers import (
    Wish,
    apply,
    difference,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._live_workers import WorkersError
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._systemd import SystemdError
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._unit_files import HEADER
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._unit_source import parse_source
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._worker_count import Count
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._processes import Process, ProcessTable
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._units import UnitFacts, Units, typed
from ansible_collections.sre.bad_gateway.tests.unit.plugins.module_utils._change._systemd_double import Systemd

UNIT = "shop.service"
ROOT_PID = 4194305  # more than Linux ever gives
COMMAND = "/usr/bin/gunicorn --bind 127.0.0.1:8000 shop:app"


class Host:
    """One unit, its files, and a gunicorn that does what signals say."""

    def __init__(self, systemd: Systemd, proc: Path) -> None:
        self.systemd, self.proc = systemd, proc
        self.workers = 0
        self.suited: int | None = 5
        self.seen_by_suitable: int | None = None
        self.most = 100
        self.file_variables: dict[str, str] = {}
        self.argv = COMMAND
        self.title = ""
        self.started = 0.0
        self.now = 0.0

    def start(self, *lines: str, workers: int, argv: str = COMMAND) -> None:
        self.systemd.add(UNIT, text="[Service]\n" + "".join(f"{line}\n" for line in lines), running=workers > 0)
        self.workers, self.argv = workers, argv

    @property
    def drop_in(self) -> Path:
        return self.systemd.units / f"{UNIT}.d" / "zz-bad-gateway-workers.conf"

    def add_drop_in(self, name: str, text: str) -> None:
        self.drop_in.parent.mkdir(exist_ok=True)
        (self.drop_in.parent / name).write_text(text)

    def read_processes(self, **_notes: Any) -> ProcessTable:
        pids = [ROOT_PID + number for number in range(self.workers + 1)] if self.workers else []
        argv = (self.title,) if self.title else ("/usr/bin/python3", *self.argv.split())
        found = [
            Process(
                pid=pid,
                parent=1 if pid == ROOT_PID else ROOT_PID,
                name="gunicorn",
                argv=argv,
                exe="/usr/bin/python3",
                uid=os.getuid(),
                gid=os.getgid(),
                started=self.started,
                unit=UNIT,
            )
            for pid in pids
        ]
        return ProcessTable({one.pid: one for one in found}, proc=self.proc)

    def read_units(self, _owners: list[str], **_notes: Any) -> Units:
        told = self.systemd.run(["systemctl", "show", "--", UNIT]).stdout
        block = dict(line.split("=", 1) for line in told.splitlines())
        paths = [block["FragmentPath"], *block["DropInPaths"].split()]
        source = parse_source(UNIT, [Path(path).read_text() for path in paths])
        environment = {**source.environment, **self.file_variables}
        argv = tuple(source.commands[-1].split())
        return Units(
            systemd=True, facts=(UnitFacts(typed(block, environment=environment, argv=argv), argv, environment),)
        )

    def suitable(self, *_measured: Any, now: int | None) -> Count | None:
        self.seen_by_suitable = now
        return Count(self.suited, "measured") if self.suited else None

    def kill(self, pid: int, what: int) -> None:
        assert pid == ROOT_PID
        wanted = self.workers + {signal.SIGTTIN: 1, signal.SIGTTOU: -1}[signal.Signals(what)]
        self.workers = min(wanted, self.most)

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def host(systemd: Systemd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    one = Host(systemd, tmp_path / "proc")
    for name in ("read_processes", "read_units", "suitable"):
        monkeypatch.setattr(_gunicorn_workers, name, getattr(one, name))
    monkeypatch.setattr(_live_workers, "read_processes", one.read_processes)
    monkeypatch.setattr(os, "kill", one.kill)
    monkeypatch.setattr(time, "sleep", one.sleep)
    monkeypatch.setattr(time, "monotonic", lambda: one.now)
    return one


BY_VARIABLE = HEADER + '\n[Service]\nEnvironment="GUNICORN_CMD_ARGS=--workers 5"\n'
BY_COMMAND = HEADER + f"\n[Service]\nExecStart=\nExecStart={COMMAND} --workers 5\n"


@pytest.mark.parametrize(
    ("lines", "variables", "asked", "text"),
    [
        pytest.param([f"ExecStart={COMMAND}"], {}, False, BY_VARIABLE, id="nobody chose a number"),
        pytest.param(
            [f"ExecStart={COMMAND}", "Environment=WEB_CONCURRENCY=2"], {}, True, BY_VARIABLE, id="WEB_CONCURRENCY"
        ),
        pytest.param([f"ExecStart={COMMAND}"], {"WEB_CONCURRENCY": "2"}, True, BY_VARIABLE, id="the same in a file"),
        pytest.param(
            [f"ExecStart={COMMAND}", "Environment=GUNICORN_CMD_ARGS=--workers=2"],
            {},
            True,
            BY_VARIABLE.replace("--workers 5", "--workers=5"),
            id="GUNICORN_CMD_ARGS",
        ),
        pytest.param(
            [f"ExecStart={COMMAND}"], {"GUNICORN_CMD_ARGS": "--workers 2"}, True, BY_COMMAND, id="the same in a file"
        ),
        pytest.param([f"ExecStart={COMMAND} --workers 2"], {}, True, BY_COMMAND, id="command line"),
        pytest.param(
            [f"ExecStart={COMMAND} $OPTIONS"],
            {"OPTIONS": "--workers 2"},
            True,
            BY_COMMAND.replace(" --workers", " $OPTIONS --workers"),
            id="command line, by a variable",
        ),
    ],
)
def test_the_place_that_wins_is_won(
    host: Host, lines: list[str], variables: dict[str, str], asked: bool, text: str
) -> None:
    host.file_variables = variables
    host.start(*lines, workers=2)
    wish = Wish(UNIT, replace_chosen=asked)
    checked = apply(wish, check_mode=True)
    assert (host.workers, host.drop_in.exists(), host.systemd.asked) == (2, False, [])
    outcome = apply(wish, check_mode=False)
    assert checked.changes == outcome.changes == [str(host.drop_in), f"{UNIT}: 5 workers, 2 before"]
    assert (host.drop_in.read_text(), host.workers, host.systemd.asked) == (text, 5, ["daemon-reload"])
    diff = difference(checked)
    assert diff is not None
    assert (diff["before"], diff["after"]) == ("", text)
    again = apply(Wish(UNIT), check_mode=False)
    assert (again.changes, again.left, again.workers, host.systemd.asked) == ([], "", 5, ["daemon-reload"])


@pytest.mark.parametrize(
    ("lines", "left"),
    [
        ([f"ExecStart={COMMAND} -w 2"], "ExecStart says 2"),
        ([f"ExecStart={COMMAND}", "Environment=WEB_CONCURRENCY=2"], "WEB_CONCURRENCY says 2"),
        ([f"ExecStart={COMMAND} -c /nowhere/conf.py"], "/nowhere/conf.py says how many"),
    ],
    ids=["command line", "variable", "a file that cannot be read"],
)
def test_what_somebody_has_chosen_stays(host: Host, lines: list[str], left: str) -> None:
    host.start(*lines, workers=2)
    outcome = apply(Wish(UNIT), check_mode=False)
    assert (outcome.changes, outcome.left, outcome.workers) == ([], left, None)
    assert (host.workers, host.drop_in.exists()) == (2, False)


def test_a_settings_file_is_won_over_and_not_edited(host: Host, tmp_path: Path) -> None:
    settings = tmp_path / "conf.py"
    settings.write_text("workers = 2\n")
    host.start(f"ExecStart={COMMAND} --config {settings}", workers=2)
    assert apply(Wish(UNIT), check_mode=False).left == f"{settings} says 2"
    assert apply(Wish(UNIT, workers=3), check_mode=False).workers == 3
    assert (host.workers, settings.read_text()) == (3, "workers = 2\n")
    assert '"GUNICORN_CMD_ARGS=--workers 3"' in host.drop_in.read_text()


def test_what_was_asked_for_wins_over_what_suits(host: Host) -> None:
    host.start(f"ExecStart={COMMAND}", workers=1)
    outcome = apply(Wish(UNIT, workers=9), check_mode=False)
    assert (host.workers, outcome.why) == (9, "asked for; by itself: measured")
    assert apply(Wish(UNIT), check_mode=False).workers == 5  # nobody asks any more
    assert host.seen_by_suitable == 9
    assert host.workers == 5


def test_no_number_below_one_is_taken() -> None:
    with pytest.raises(WorkersError, match="cannot have 0 workers"):
        Wish(UNIT, workers=0)


@pytest.mark.parametrize(
    ("lines", "started", "workers", "left"),
    [
        pytest.param([], 0.0, 5, True, id="code that no worker has loaded"),
        pytest.param([], 1e11, 5, False, id="code that one has loaded"),
        pytest.param([], 0.0, 1, False, id="fewer workers load nothing"),
        pytest.param(["--preload"], 0.0, 5, False, id="copies of what is loaded"),
    ],
)
def test_no_worker_is_added_to_load_code_that_none_has_loaded(
    host: Host, tmp_path: Path, lines: list[str], started: float, workers: int, left: bool
) -> None:
    code = tmp_path / "site" / "shop.py"
    code.parent.mkdir()
    code.write_text("")
    host.start(" ".join([f"ExecStart={COMMAND}", *lines]), workers=2)
    host.systemd.ties[UNIT]["WorkingDirectory"] = f"-{code.parent}"
    host.started = started
    for check_mode in (True, False):
        outcome = apply(Wish(UNIT, workers=workers), check_mode=check_mode)
        assert outcome.left.startswith(f"{code} is newer than its workers") == left
        assert bool(outcome.changes) == (not left)
    assert host.workers == (2 if left else workers)


def test_taken_away_it_gets_no_workers_that_load_code_that_none_has_loaded(host: Host, tmp_path: Path) -> None:
    host.start(f"ExecStart={COMMAND} -w 7", workers=7)
    apply(Wish(UNIT, workers=4), check_mode=False)
    code = tmp_path / "site" / "shop.py"
    code.parent.mkdir()
    code.write_text("")
    host.systemd.ties[UNIT]["WorkingDirectory"] = str(code.parent)
    with pytest.raises(WorkersError, match=r"^shop\.service: .*shop\.py is newer than its workers; reload or restart"):
        apply(Wish(UNIT, present=False), check_mode=False)
    assert (host.workers, host.drop_in.exists()) == (4, True)


def test_where_it_says_that_many_already_no_drop_in_is_made(host: Host) -> None:
    host.start(f"ExecStart={COMMAND} -w 4", workers=3)
    assert apply(Wish(UNIT, workers=4), check_mode=False).changes == [f"{UNIT}: 4 workers, 3 before"]
    assert (host.workers, host.drop_in.exists(), host.systemd.asked) == (4, False, [])


def test_one_that_does_not_run_gets_what_was_asked_for_at_its_start(host: Host) -> None:
    host.suited = None
    host.start(f"ExecStart={COMMAND}", workers=0)
    assert apply(Wish(UNIT), check_mode=False).left == "it does not run, so nothing could be measured"
    assert apply(Wish(UNIT, workers=3), check_mode=False).changes == [str(host.drop_in)]
    assert (host.workers, host.systemd.is_running(UNIT)) == (0, False)


def test_another_drop_in_that_wins_has_ours_taken_back(host: Host) -> None:
    host.start(f"ExecStart={COMMAND}", workers=2)
    host.add_drop_in("zzz-theirs.conf", "[Service]\nEnvironment=GUNICORN_CMD_ARGS=\n")
    with pytest.raises(WorkersError, match=r"zz-bad-gateway-workers.conf: taken back, .* still says"):
        apply(Wish(UNIT, workers=4), check_mode=False)
    assert (host.workers, host.drop_in.exists()) == (2, False)


def test_workers_that_do_not_come_leave_everything_as_it_was(host: Host) -> None:
    host.start(f"ExecStart={COMMAND}", workers=2)
    host.most = 3
    with pytest.raises(WorkersError, match="3 workers run after 180 s, not 5"):
        apply(Wish(UNIT), check_mode=False)
    assert (host.workers, host.drop_in.exists(), host.drop_in.parent.exists()) == (2, False, False)
    assert [one.state for one in _journal.finished()] == ["rolled_back"]


def test_one_whose_new_worker_ends_it_is_started_again(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.start(f"ExecStart={COMMAND}", workers=2)

    def end(_pid: int, _what: int) -> None:
        host.workers = 0
        host.systemd.run(["systemctl", "stop", "--", UNIT])

    monkeypatch.setattr(os, "kill", end)
    with pytest.raises(WorkersError, match="its gunicorn ended meanwhile"):
        apply(Wish(UNIT), check_mode=False)
    assert (host.systemd.is_running(UNIT), host.drop_in.exists()) == (True, False)


def test_a_wrapper_gets_the_variable_and_one_that_says_a_number_is_told(host: Host) -> None:
    host.start("ExecStart=/srv/run.sh", workers=2)
    apply(Wish(UNIT, workers=4), check_mode=False)
    assert (host.workers, BY_VARIABLE.replace("5", "4")) == (4, host.drop_in.read_text())
    host.argv = f"{COMMAND} --workers 2"
    with pytest.raises(WorkersError, match=r"/srv/run\.sh starts its gunicorn and says how many workers"):
        apply(Wish(UNIT, workers=5), check_mode=False)


def test_how_many_a_process_under_a_title_was_started_with_cannot_be_seen(host: Host) -> None:
    host.start("ExecStart=/srv/run.sh", workers=2)
    host.title = "gunicorn: master [shop:app]"
    outcome = apply(Wish(UNIT), check_mode=False)
    assert (outcome.changes, outcome.left) == ([], "something unseen says how many")


def test_the_command_follows_the_unit_when_that_changes(host: Host) -> None:
    host.start(f"ExecStart={COMMAND} -w 2", workers=2)
    apply(Wish(UNIT, workers=4), check_mode=False)
    host.start("ExecStart=/usr/bin/gunicorn -b :9000 shop:app -w 2", workers=4)
    assert apply(Wish(UNIT, workers=4), check_mode=False).changes == [str(host.drop_in)]
    assert host.drop_in.read_text().endswith("\nExecStart=\nExecStart=/usr/bin/gunicorn -b :9000 shop:app -w 4\n")


@pytest.mark.parametrize("number", [2, 7])
def test_taken_away_it_is_as_its_own_settings_say(host: Host, number: int) -> None:
    host.start(f"ExecStart={COMMAND} -w {number}", workers=number)
    apply(Wish(UNIT, workers=4), check_mode=False)
    absent = Wish(UNIT, present=False)
    changes = [str(host.drop_in), f"{UNIT}: as many workers as its own settings say"]
    assert apply(absent, check_mode=True).changes == apply(absent, check_mode=False).changes == changes
    assert (host.workers, host.drop_in.parent.exists()) == (number, False)
    assert apply(absent, check_mode=False).changes == []


def test_a_rollback_brings_back_the_workers_too(host: Host) -> None:
    host.start(f"ExecStart={COMMAND}", workers=2)
    apply(Wish(UNIT, workers=4), check_mode=False, run_id="r")
    apply(Wish(UNIT, workers=6), check_mode=False, run_id="r")
    told = _rollback.roll_back(run_id="r", force=False, check_mode=True)
    assert list(told.states) == [f"{UNIT}: 2 workers again"]
    assert host.workers == 6
    _rollback.roll_back(run_id="r", force=False, check_mode=False)
    assert (host.workers, host.drop_in.exists()) == (2, False)


def test_what_was_killed_in_the_middle_is_taken_back(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.start(f"ExecStart={COMMAND} -w 2", workers=2)
    with monkeypatch.context() as patched:
        patched.setattr(_journal.Journal, "mark", lambda *_unused: None)
        apply(Wish(UNIT, workers=4), check_mode=False)
    assert apply(Wish(UNIT, workers=2), check_mode=True).recovered
    outcome = apply(Wish(UNIT, workers=2), check_mode=False)
    assert "killed in the middle" in outcome.recovered[0]
    assert (host.workers, host.drop_in.exists()) == (2, False)


def test_systemd_reads_what_it_has_not_read_first(host: Host) -> None:
    host.start(f"ExecStart={COMMAND} -w 2", workers=2)
    host.systemd.ties[UNIT]["NeedDaemonReload"] = "yes"
    assert apply(Wish(UNIT), check_mode=True).changes == [f"{UNIT}: systemd read its files again"]
    assert host.systemd.asked == []
    apply(Wish(UNIT), check_mode=False)
    assert host.systemd.asked == ["daemon-reload"]


def test_a_unit_that_starts_something_else_is_told(host: Host) -> None:
    host.start("ExecStart=/usr/bin/node app.js", workers=0)
    with pytest.raises(WorkersError, match=r"^shop\.service: found 0 gunicorn in what it starts"):
        apply(Wish(UNIT), check_mode=False)


def test_a_unit_that_is_not_there_is_told(host: Host) -> None:
    with pytest.raises(SystemdError, match="knows no such unit"):
        apply(Wish("other.service"), check_mode=False)
    assert host.systemd.asked == []
