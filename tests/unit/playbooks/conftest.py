# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs the playbooks as a user does, on hosts that are this machine over the local connection."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Mapping, Sequence

import pytest

CHECKOUT = Path(__file__).resolve().parents[3]
PROGRAMS = Path(sys.executable).parent

sys.path.insert(0, str(CHECKOUT / "tests"))  # for the lab, which is a package of its own


@dataclass(frozen=True)
class Played:
    """What a playbook left: its exit code, what it printed, and its run directory."""

    code: int
    output: str
    run_dir: Path

    def said(self, *parts: str) -> int:
        """How often the first part is said on a line with all others. Lines that dump a result are not for people."""
        lines = (line for line in self.output.splitlines() if not line.startswith("fatal:"))
        return sum(line.count(parts[0]) for line in lines if all(part in line for part in parts))

    @property
    def hosts(self) -> dict[str, dict[str, Any]]:
        """The hosts of report.json."""
        hosts: dict[str, dict[str, Any]] = json.loads((self.run_dir / "report.json").read_text())["hosts"]
        return hosts

    @property
    def statuses(self) -> dict[str, str]:
        return {name: host["status"] for name, host in self.hosts.items()}

    @property
    def unfinished(self) -> list[Path]:
        """Files that nobody should ever see."""
        return list(self.run_dir.rglob(".writing-*"))


Hosts = Mapping[str, Mapping[str, object]]
Play = Callable[..., Played]
Player = Callable[..., dict[str, object]]
Answer = dict[str, Any]


@pytest.fixture
def play(tmp_path: Path) -> Play:
    """Plays a playbook of the collection on `hosts`, each given by its variables."""

    def run(
        playbook: str,
        hosts: Hosts,
        *arguments: str,
        run_dir: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Played:
        run_dir = run_dir or tmp_path / "run"
        common = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable, "audit_probe": "none"}
        inventory = tmp_path / "inventory.json"  # which is YAML too
        inventory.write_text(json.dumps({"all": {"hosts": hosts, "vars": common}}))
        command = [str(PROGRAMS / "ansible-playbook"), "-i", str(inventory), f"sre.bad_gateway.{playbook}"]
        command += ["-e", json.dumps({"bad_gateway_output_dir": str(run_dir)}), *arguments]
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env={**_environment(tmp_path), **(environment or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        print(done.stdout)  # pytest shows it when the test fails
        return Played(code=done.returncode, output=done.stdout, run_dir=run_dir)

    return run


#: Stands for the host's Python: answers each module what it was told to, one answer after the other.
INTERPRETER = r"""#!{python}
import pathlib, re, sys
program = pathlib.Path(sys.argv[1]).read_text() if sys.argv[1:] else sys.stdin.read()
module = re.search(r"sre\.bad_gateway\.plugins\.modules\.(\w+)", program)[1]
answer = sorted(pathlib.Path("{directory}").glob(module + ".*.json"))[0]
print(answer.read_text())
answer.unlink()
"""

#: Stands for ssh: runs the command here as long as an answer is left.
SSH = """#!/bin/sh
for command; do :; done
ls {directory}/*.json >/dev/null 2>&1 || {{ echo "no route to host" >&2; exit 255; }}
exec sh -c "$command"
"""


@pytest.fixture
def host(tmp_path: Path) -> Player:
    """Variables of a host whose modules give these answers. It is looked at first, after its batch, and at last."""

    def make(name: str, **modules: Sequence[Answer]) -> dict[str, object]:
        directory = tmp_path / "answers" / name
        directory.mkdir(parents=True)
        for module, answers in modules.items():
            for number, answer in enumerate(answers):
                (directory / f"{module}.{number}.json").write_text(json.dumps(answer))
        for program, text in (("python", INTERPRETER), ("ssh", SSH)):
            (directory / program).write_text(text.format(python=sys.executable, directory=directory))
            (directory / program).chmod(0o755)
        return {
            "ansible_python_interpreter": str(directory / "python"),
            "ansible_ssh_executable": str(directory / "ssh"),
            "ansible_ssh_transfer_method": "piped",
        }

    return make


def _environment(tmp_path: Path) -> dict[str, str]:
    """This process's, without the user's own settings of Ansible."""
    (tmp_path / "ansible.cfg").touch()
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    return {
        **kept,
        "ANSIBLE_CONFIG": str(tmp_path / "ansible.cfg"),
        "ANSIBLE_HOME": str(tmp_path / "ansible"),
        "ANSIBLE_REMOTE_TEMP": str(tmp_path / "ansible" / "remote"),
        "ANSIBLE_COLLECTIONS_PATH": str(CHECKOUT / ".work"),
        "ANSIBLE_NOCOLOR": "true",
    }
