# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from ansible_collections.sre.bad_gateway.plugins.module_utils._change import _reload, _systemd
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._errors import ReloadError
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._reload import reload, resume, workers
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._validate import Nginx, Verdict
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._shared import Ran

# Stands for nginx's master: one child titled as a worker, another one after SIGHUP, and the old one goes.
MASTER = """
import signal, subprocess, sys
def start():
    return subprocess.Popen(["nginx: worker process", "-c", "import time; time.sleep(60)"], executable=sys.executable)
worker = start()
def renew(*_):
    global worker
    old, worker = worker, start()
    old.kill()
    old.wait()
def end(*_):
    worker.kill()
    worker.wait()
    sys.exit()
signal.signal(signal.SIGHUP, renew if "obey" in sys.argv else signal.SIG_IGN)
signal.signal(signal.SIGTERM, end)
print("ready", flush=True)
while True:
    signal.pause()
"""


@pytest.fixture
def master(request: pytest.FixtureRequest) -> Iterator[int]:
    process = subprocess.Popen([sys.executable, "-c", MASTER, request.param], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    while not workers(process.pid):
        time.sleep(0.01)
    yield process.pid
    process.send_signal(signal.SIGTERM)
    process.communicate()


def nginx(pid: int | None) -> Nginx:
    return Nginx(id="nginx", binary="nginx", config="/nginx.conf", prefix="/", pid=pid, unit=None)


@pytest.mark.parametrize("master", ["obey"], indirect=True)
def test_only_new_workers_serve_afterwards(master: int) -> None:
    before = workers(master)
    assert reload(nginx(master))
    assert workers(master)
    assert not workers(master) & before


@pytest.mark.parametrize("master", ["ignore"], indirect=True)
def test_a_master_that_keeps_its_workers_is_an_error(master: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_reload, "_TIMEOUT", 0.2)
    with pytest.raises(ReloadError, match="no new workers"):
        reload(nginx(master))


def test_what_does_not_run_is_not_reloaded() -> None:
    assert not reload(nginx(None))


def test_a_master_that_is_gone_is_an_error() -> None:
    pid = os.fork()
    if not pid:
        os._exit(0)
    os.waitpid(pid, 0)
    with pytest.raises(ReloadError, match=f"SIGHUP to the master {pid}: No such process"):
        reload(nginx(pid))


UNITS = {
    "its own": ("MainPID=7\nCanReload=yes\n", True),
    "it cannot be reloaded": ("MainPID=7\nCanReload=no\n", False),
    "what started it": ("MainPID=1\nCanReload=yes\n", False),
    "no systemd": ("System has not been booted with systemd as init system\n", False),
}


@pytest.mark.parametrize(("told", "by_unit"), UNITS.values(), ids=UNITS.keys())
def test_a_unit_reloads_what_is_its_own(monkeypatch: pytest.MonkeyPatch, told: str, by_unit: bool) -> None:
    done: list[tuple[object, ...]] = []

    def systemctl(*words: str) -> Ran:
        done.append(words[:1])
        return Ran(status=0, stdout=told, stderr="", why="")

    monkeypatch.setattr(_reload, "_systemctl", systemctl)
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr("os.kill", lambda *given: done.append(given))
    generations = iter([{8}, {8, 9}, {9}])
    monkeypatch.setattr(_reload, "workers", lambda _pid: next(generations))
    assert reload(Nginx(id="nginx", binary="nginx", config="/c", prefix="/", pid=7, unit="nginx.service"))
    assert done == [("show",), ("reload",) if by_unit else (7, signal.SIGHUP)]


def test_a_master_that_ends_meanwhile_is_said_at_once() -> None:
    # SIGHUP ends whom nothing told otherwise; who started the tests may have.
    program = "import signal; signal.signal(signal.SIGHUP, signal.SIG_DFL); print(flush=True); signal.pause()"
    process = subprocess.Popen([sys.executable, "-c", program], stdout=-1)
    assert process.stdout is not None
    process.stdout.readline()
    with pytest.raises(ReloadError, match="nginx ended during the reload"):
        reload(nginx(process.pid))
    process.communicate()


@pytest.mark.parametrize("drains", [True, False])
def test_old_workers_are_waited_for_but_not_for_ever(monkeypatch: pytest.MonkeyPatch, drains: bool) -> None:
    waited: list[float] = []
    monkeypatch.setattr("time.sleep", waited.append)
    monkeypatch.setattr("time.monotonic", lambda: sum(waited))
    monkeypatch.setattr(_reload, "_signal", lambda _nginx, _pid: None)
    monkeypatch.setattr(_reload, "_is_alive", lambda _pid: True)
    shutting_down = b"nginx: worker process is shutting down"
    looks = [{7: b"nginx: worker process"}, {7: shutting_down, 8: b"nginx: worker process"}]
    monkeypatch.setattr(_reload, "_children", lambda _pid: looks.pop(0) if len(looks) > 1 else looks[0])
    if drains:
        looks += [{7: shutting_down, 8: b"nginx: worker process"}, {8: b"nginx: worker process"}]
    assert reload(nginx(6))
    assert len(waited) == 1 if drains else sum(waited) >= _reload._DRAIN


RESUMED = {
    "it runs": ("runs", "", [], ["reload"]),
    "its files are refused": ("refused", "", ["nginx runs on as it did, nginx -t refuses its files"], []),
    "no unit has it": ("no unit", "", ["nginx does not run any more, start it"], []),
    "its unit failed": ("gone", "failed", ["nginx.service had failed and was started again"], ["start nginx.service"]),
    "somebody stopped it": ("gone", "inactive", ["nginx.service was stopped meanwhile and stays so"], []),
}


@pytest.mark.parametrize(("how", "state", "told", "done"), RESUMED.values(), ids=RESUMED.keys())
def test_what_became_of_nginx_is_told(
    monkeypatch: pytest.MonkeyPatch, how: str, state: str, told: list[str], done: list[str]
) -> None:
    did: list[str] = []
    unit = None if how == "no unit" else "nginx.service"
    one = Nginx(id="nginx", binary="nginx", config="/c", prefix="/", pid=7, unit=unit)
    runs = one if how in ("runs", "refused") else None
    monkeypatch.setattr(_reload, "_running", lambda _nginx: runs)
    monkeypatch.setattr(_reload, "validate_live", lambda _nginx: Verdict(ok=how == "runs", output="[emerg] no"))
    monkeypatch.setattr(_reload, "reload", lambda _nginx: did.append("reload"))
    monkeypatch.setattr(_reload, "_is_there", lambda _command: True)
    monkeypatch.setattr(_systemd, "properties", lambda *_names: {"ActiveState": state})
    monkeypatch.setattr(_systemd, "run", lambda _command: None)
    monkeypatch.setattr(_systemd, "act", lambda *words: did.append(" ".join(words)))
    assert [line.partition(" as they were")[0] for line in resume(one)] == told
    assert did == done


def test_what_did_not_run_is_left_alone() -> None:
    assert resume(nginx(None)) == []


def test_after_a_crash_nginx_may_be_another_process(monkeypatch: pytest.MonkeyPatch) -> None:
    gone, now = nginx(2**22 + 1), nginx(os.getpid())
    asked: list[str | None] = []

    def instances(config: str | None) -> list[Nginx]:
        asked.append(config)
        return [nginx(None), now]

    monkeypatch.setattr(_reload, "nginx_instances", instances)
    monkeypatch.setattr(_reload, "validate_live", lambda _nginx: Verdict(ok=True, output=""))
    reloaded: list[Nginx] = []
    monkeypatch.setattr(_reload, "reload", reloaded.append)
    assert resume(gone) == []
    assert (asked, reloaded) == (["/nginx.conf"], [now])
