# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The process table, read once from /proc and shared by every collector."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._shared import Notes, reason

_PROC = Path("/proc")
_KERNEL_THREAD = 0x00200000  # PF_KTHREAD of linux/sched.h
_SLICE = ".slice"
_UNIT_TYPES = (".service", ".scope", ".socket", ".mount", ".swap")


class Process(NamedTuple):
    pid: int
    parent: int
    name: str  # the kernel's 15 characters
    argv: tuple[str, ...]
    exe: str  # "" when it may not be read; ends in " (deleted)" when the file was replaced
    uid: int
    gid: int
    started: float  # seconds since the epoch
    unit: str | None  # the system manager's unit, from the cgroup


class ProcessTable:
    """The processes by their pids, and where they were found."""

    def __init__(self, processes: dict[int, Process], proc: Path = _PROC) -> None:
        self.processes = processes
        self.proc = proc

    def children(self, pid: int) -> list[Process]:
        return [process for process in self.processes.values() if process.parent == pid]

    def __iter__(self) -> Iterator[Process]:
        return iter(self.processes.values())


class Stat(NamedTuple):
    """The fields of /proc/PID/stat that are used."""

    name: str
    state: str
    parent: int
    flags: int
    start_ticks: int


def parse_stat(text: str) -> Stat:
    """The name stands in parentheses and may itself hold blanks and parentheses."""
    name_start, name_end = text.index("("), text.rindex(")")
    fields = text[name_end + 2 :].split()
    return Stat(
        name=text[name_start + 1 : name_end],
        state=fields[0],
        parent=int(fields[1]),
        flags=int(fields[6]),
        start_ticks=int(fields[19]),
    )


def cgroup_path(text: str) -> str:
    """Where systemd put a process: the line of its own hierarchy (v1, hybrid), else the unified one."""
    unified = "/"
    for line in text.splitlines():
        _number, controllers, path = line.split(":", 2)
        if controllers == "name=systemd":
            return path
        if not controllers:
            unified = path
    return unified


def unit_of(path: str, *, root: str = "/") -> str | None:
    """The unit that a cgroup belongs to, by systemd's own rule: the first part below the slices.

    `root` is where this host's systemd has its tree, which is not "/" in a container that shows the outer cgroups.
    """
    if root != "/" and (path == root or path.startswith(root + "/")):
        path = path[len(root) :]
    for part in path.strip("/").split("/"):
        unit = part[1:] if part.startswith("_") else part  # systemd escapes names that collide with controllers
        if unit.endswith(_SLICE):
            continue
        return unit if unit.endswith(_UNIT_TYPES) else None
    return None


def _cgroup_root(proc: Path) -> str:
    try:
        path = cgroup_path((proc / "1" / "cgroup").read_text("utf-8", "surrogateescape"))
    except OSError:
        return "/"
    return path[: -len("/init.scope")] or "/" if path.endswith("/init.scope") else "/"


def _boot_time() -> float:
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)


def _exe(directory: str) -> str:
    try:
        return os.readlink(f"{directory}/exe")  # Path.readlink came with Python 3.9
    except OSError:
        return ""


def _text(path: str) -> str:
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123  # thousands of times; Path costs more than the read
        return file.read().decode("utf-8", "surrogateescape")


def _read_process(pid: int, *, proc: Path, root: str, booted: float, tick: int) -> Process | None:
    """None for kernel threads and zombies: neither has arguments, files or sockets."""
    directory = f"{proc}/{pid}"
    stat = parse_stat(_text(f"{directory}/stat"))
    if stat.flags & _KERNEL_THREAD or stat.state in "ZX":
        return None
    owner = os.stat(directory)  # noqa: PTH116
    return Process(
        pid=pid,
        parent=stat.parent,
        name=stat.name,
        argv=tuple(_text(f"{directory}/cmdline").rstrip("\0").split("\0")),
        exe=_exe(directory),
        uid=owner.st_uid,
        gid=owner.st_gid,
        started=booted + stat.start_ticks / tick,
        unit=unit_of(cgroup_path(_text(f"{directory}/cgroup")), root=root),
    )


def read_processes(*, notes: Notes, proc: Path = _PROC) -> ProcessTable:
    """Every process that this user may see. What is hidden is said once, not per process."""
    root, booted, tick = _cgroup_root(proc), _boot_time(), os.sysconf("SC_CLK_TCK")
    processes: dict[int, Process] = {}
    denied = ""
    for name in sorted((entry.name for entry in os.scandir(proc) if entry.name.isdigit()), key=int):
        try:
            process = _read_process(int(name), proc=proc, root=root, booted=booted, tick=tick)
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended while we looked
        except OSError as error:
            denied = reason(error)
            continue
        if process:
            processes[process.pid] = process
    if not denied and not (proc / "1").exists():
        denied = "mounted with hidepid"
    if denied:
        notes.miss("processes of other users in /proc", denied)
    return ProcessTable(processes=processes, proc=proc)


def environment_of(pid: int, *, proc: Path = _PROC) -> dict[str, str]:
    """The environment that a process started with; raises OSError when it may not be read."""
    text = _text(f"{proc}/{pid}/environ")
    return dict(entry.split("=", 1) for entry in text.split("\0") if "=" in entry)


def _pid_depth(pid: int | str, *, proc: Path) -> int:
    status = _text(f"{proc}/{pid}/status")
    return next((len(line.split()) for line in status.splitlines() if line.startswith("NSpid:")), 0)


def in_container(pid: int, *, proc: Path = _PROC) -> bool:
    """Whether a process has pids of its own; unlike its other namespaces everybody may see that."""
    try:
        return _pid_depth(pid, proc=proc) > _pid_depth("self", proc=proc)
    except OSError:
        return False


def namespace_of(pid: int | str, kind: str, *, proc: Path = _PROC) -> str:
    """For example "net:[4026531840]"; raises OSError when it may not be read."""
    return os.readlink(f"{proc}/{pid}/ns/{kind}")
