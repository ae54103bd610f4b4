# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an audit costs, in one run on one machine: ratios to a bare ping and to a hand-written playbook.

The hosts are the lab's, each with nginx and a site in front of a gunicorn, all healthy. Every command runs
several times in turn, so that a slow moment of the machine meets them all, and is compared with the ping of the same
turn. That the hosts share the controller's cores favours the ping. That they are next door favours it too, as it goes
there and back more often: with `--rtt` they are as far away as ordinary hosts are.
"""

from __future__ import annotations

import argparse
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from lab import Fleet, HostSpec  # noqa: E402  # the lab lies beside this directory

BIN = ROOT / ".venv" / "bin"
OUTPUT = ROOT / ".work" / "bench"

#: What root of a machine may, and a container's by itself may not: read what /proc says of other users' processes.
ALL_OF_PROC = ("SYS_PTRACE",)


@dataclass(frozen=True)
class Cost:
    """What one run of a command took."""

    wall: float  # seconds
    cpu: float  # seconds of the controller: ansible and what it waited for


def commands(inventory: Path) -> dict[str, list[str]]:
    """The commands to compare, by name."""
    playbook = [str(BIN / "ansible-playbook"), "-i", str(inventory)]
    output = ["-e", f"bad_gateway_output_dir={OUTPUT / 'report'}"]
    return {
        "ping": [str(BIN / "ansible"), "all", "-i", str(inventory), "-m", "ansible.builtin.ping"],
        "audit": [*playbook, "sre.bad_gateway.audit", *output],
        "remediate (nothing to do)": [*playbook, "sre.bad_gateway.remediate", *output],
        "by hand": [*playbook, str(Path(__file__).with_name("by_hand.yml"))],
    }


def moved_away(inventory: Path, directory: Path, *, rtt: float) -> Path:
    """The inventory with its hosts so many milliseconds away, there and back."""
    content = yaml.safe_load(inventory.read_text(encoding="utf-8"))
    carrier = [sys.executable, str(Path(__file__).with_name("far.py")), "%h", "%p", str(rtt / 2000)]
    variables = content["all"]["vars"]
    variables["ansible_ssh_common_args"] += f" -o ProxyCommand={shlex.quote(shlex.join(carrier))}"
    variables["ansible_control_path_dir"] = str(directory)  # no connection is shared with hosts next door
    moved = directory / "inventory.yml"
    moved.write_text(yaml.safe_dump(content), encoding="utf-8")
    return moved


def measure(command: list[str]) -> Cost:
    """Run a command to its end; its output is shown only when it fails."""
    environment = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".work"), "ANSIBLE_NOCOLOR": "1"}
    log = OUTPUT / "last.log"
    begin = time.monotonic()
    with log.open("wb") as sink, subprocess.Popen(command, env=environment, stdout=sink, stderr=sink) as process:
        status, usage = os.wait4(process.pid, 0)[1:]
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"{' '.join(command)} failed:\n{log.read_text(errors='replace')[-4000:]}")
    return Cost(wall=time.monotonic() - begin, cpu=usage.ru_utime + usage.ru_stime)


def compare(inventory: Path, *, rounds: int) -> dict[str, list[Cost]]:
    """What every round of every command cost; a round before them opens the SSH connections and fills the caches."""
    costs: dict[str, list[Cost]] = {}
    for turn in range(rounds + 1):
        for name, command in commands(inventory).items():
            cost = measure(command)
            print(f"  {'warm-up' if turn == 0 else f'round {turn}'}: {name} {cost.wall:.1f} s", flush=True)
            if turn:
                costs.setdefault(name, []).append(cost)
    return costs


def show(costs: Mapping[str, Sequence[Cost]], *, hosts: int, rtt: float) -> None:
    """Print the ratios: each the median of those of the single rounds."""
    distance = f", {rtt:g} ms away and back" if rtt else ""
    print(f"\n{hosts} hosts{distance}; wall time and the controller's CPU time, medians, and ratios within a round")
    _show_row("", ["wall s", "cpu s", "wall / ping", "lowest", "highest", "wall / by hand", "cpu / ping"])
    for name, seen in costs.items():
        to_ping = [one.wall / ping.wall for one, ping in zip(seen, costs["ping"])]
        to_hand = [one.wall / by_hand.wall for one, by_hand in zip(seen, costs["by hand"])]
        cpu = [one.cpu / ping.cpu for one, ping in zip(seen, costs["ping"])]
        seconds = [statistics.median(one.wall for one in seen), statistics.median(one.cpu for one in seen)]
        ratios = [statistics.median(to_ping), min(to_ping), max(to_ping), *map(statistics.median, (to_hand, cpu))]
        _show_row(name, [*(f"{each:.1f}" for each in seconds), *(f"{each:.2f}" for each in ratios)])


def _show_row(name: str, cells: Iterable[str]) -> None:
    print(f"{name:28}" + "".join(f"{cell:>16}" for cell in cells))


def main() -> None:
    """Bring hosts up, measure, take them down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hosts", type=int, default=20, help="number of hosts (default 20)")
    parser.add_argument("--rounds", type=int, default=5, help="counted runs of each command (default 5)")
    parser.add_argument("--rtt", type=float, default=0, help="milliseconds to a host and back (default 0: as they are)")
    arguments = parser.parse_args()
    OUTPUT.mkdir(parents=True, exist_ok=True)
    specs = [
        HostSpec(f"bench{n:02}", roles=("nginx", "docs"), capabilities=ALL_OF_PROC)
        for n in range(1, arguments.hosts + 1)
    ]
    print(f"==> bringing {arguments.hosts} hosts up", flush=True)
    with Fleet("bench", specs) as fleet, tempfile.TemporaryDirectory() as directory:
        inventory = Path(fleet.inventory_path)
        if arguments.rtt:
            inventory = moved_away(inventory, Path(directory), rtt=arguments.rtt)
        show(compare(inventory, rounds=arguments.rounds), hosts=arguments.hosts, rtt=arguments.rtt)


if __name__ == "__main__":
    main()
