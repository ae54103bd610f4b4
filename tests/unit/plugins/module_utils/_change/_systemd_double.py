# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A systemd whose units are files: what ran before a process was killed still runs afterwards."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

from ansible_collections.sre.bad_gateway.plugins.module_utils._change._unit_source import parse_source
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._shared import Ran

UNIT = "[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n"


class Systemd:
    """Stands for systemctl, systemd-analyze and journalctl; starting follows `Conflicts=` and `Requires=`."""

    def __init__(self, directory: Path) -> None:
        self.units = directory / "units"  # stands for /etc/systemd/system
        self._running, self._vendor = directory / "running", directory / "vendor"
        for one in (self.units, self._running, self._vendor):
            one.mkdir(exist_ok=True)
        self.ties: dict[str, dict[str, str]] = {}  # by unit: {"Conflicts": "b.service"}
        self.broken: dict[str, int] = {}  # by unit: how many starts fail from now on
        self.asked: list[str] = []  # all that was not merely a question

    def add(self, unit: str, *, text: str = UNIT, running: bool = False, **ties: str) -> None:
        (self._vendor / unit).write_text(text)
        self.ties[unit] = ties
        if running:
            self._start(unit)

    def is_running(self, unit: str) -> bool:
        return (self._running / unit).exists()

    def is_enabled(self, unit: str) -> bool:
        return (self.units / "multi-user.target.wants" / unit).is_symlink()

    def run(self, argv: list[str], **_options: float) -> Ran:
        command, verb = Path(argv[0]).name, argv[1]
        units = argv[argv.index("--") + 1 :] if "--" in argv else []
        if command != "systemctl" or verb in ("show", "cat", "is-active", "is-enabled"):
            return self._answer(command, verb, units)
        sys.audit("subprocess.Popen", argv[0], argv)
        self.asked.append(" ".join(word for word in argv[1:] if word != "--"))
        failed = [unit for unit in units if not self._act(verb, unit)]
        return Ran(status=1 if failed else 0, stdout="", stderr="it failed" if failed else "", why="")

    def _answer(self, command: str, verb: str, units: list[str]) -> Ran:
        told = ""
        if verb == "is-active":
            told = "".join(f"{self._state(unit)}\n" for unit in units)
        elif verb == "is-enabled":
            told = "enabled" if self.is_enabled(units[0]) else "disabled"
        elif verb == "cat":
            told = (self._vendor / units[0]).read_text()
        elif command == "systemctl":
            told = self._shown(units[0])
        return Ran(status=0, stdout=told, stderr="", why="")

    def _shown(self, unit: str) -> str:
        drop_ins = sorted((self.units / f"{unit}.d").glob("*.conf"))
        known = {
            "LoadState": "loaded" if (self._vendor / unit).exists() else "not-found",
            "LoadError": "",
            "NeedDaemonReload": "no",
            "FragmentPath": str(self._vendor / unit),
            "ActiveState": self._state(unit),
            "Result": "success" if self.is_running(unit) else "exit-code",
            "ExecMainStatus": "0" if self.is_running(unit) else "3",
            "NRestarts": "0",
            "Type": "simple",
            "PIDFile": "",
            "GuessMainPID": "yes",
            "SourcePath": "",
            "DropInPaths": " ".join(str(path) for path in drop_ins),
            "Environment": self._environment(unit, drop_ins),
            "Id": unit,
            **dict.fromkeys(("Requires", "Wants", "BindsTo", "Conflicts", "ConflictedBy"), ""),
            **self.ties.get(unit, {}),
        }
        return "".join(f"{name}={value}\n" for name, value in known.items())

    def _environment(self, unit: str, drop_ins: list[Path]) -> str:
        paths = [path for path in (self._vendor / unit, *drop_ins) if path.exists()]
        environment = parse_source(unit, [path.read_text() for path in paths]).environment
        return shlex.join(f"{name}={value}" for name, value in environment.items())

    def _state(self, unit: str) -> str:
        return "active" if self.is_running(unit) else "inactive"

    def _act(self, verb: str, unit: str) -> bool:
        link = self.units / "multi-user.target.wants" / unit
        if verb in ("start", "restart"):
            return self._start(unit)
        if verb == "stop":
            (self._running / unit).unlink()
        elif verb == "enable" and not self.is_enabled(unit):
            link.parent.mkdir(exist_ok=True)
            link.symlink_to(self._vendor / unit)
        elif verb == "disable":
            link.unlink()
            link.parent.rmdir()
        return True

    def _start(self, unit: str) -> bool:
        if self.broken.get(unit, 0) > 0:
            self.broken[unit] -= 1
            (self._running / unit).unlink(missing_ok=True)
            return False
        for other in self.ties.get(unit, {}).get("Conflicts", "").split():
            (self._running / other).unlink(missing_ok=True)
        for other in (unit, *self.ties.get(unit, {}).get("Requires", "").split()):
            (self._running / other).touch()
        return True
