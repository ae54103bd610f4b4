# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a fault is. Nothing here touches a host."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Origin = Literal["lab", "written"]


@dataclass(frozen=True)
class Part:
    """Something that a host has, put together with others by `host`."""

    roles: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)  # absolute path -> content
    enabled: tuple[str, ...] = ()  # units that systemd starts at boot
    ports: tuple[int, ...] = ()  # where something listens once it is up; systemd cannot tell for simple services


@dataclass(frozen=True)
class Host:
    """A host of a fault. `@NAME@` in its files stands for the fault's host NAME, as others reach it."""

    roles: tuple[str, ...]
    files: Mapping[str, str]
    enabled: tuple[str, ...]
    ports: tuple[int, ...] = ()
    image: str = "debian12"
    memory: str = ""


def host(*parts: Part, image: str = "debian12", memory: str = "") -> Host:
    """A host that has all these parts; of two files at one path, the last part's."""
    files: dict[str, str] = {}
    for part in parts:
        files.update(part.files)
    return Host(
        roles=tuple(dict.fromkeys(role for part in parts for role in part.roles)) or ("plain",),
        files=files,
        enabled=tuple(dict.fromkeys(unit for part in parts for unit in part.enabled)),
        ports=tuple(dict.fromkeys(port for part in parts for port in part.ports)),
        image=image,
        memory=memory,
    )


@dataclass(frozen=True)
class Run:
    """A shell command as root on one of the fault's hosts; `@NAME@` as in files. One that fails is a complaint."""

    command: str
    host: str = "web"


@dataclass(frozen=True)
class Ask:
    """Requests of a client to one nginx, and the status codes that it must get.

    The first of `status` must come at least once, and none that is not among them. 0 stands for a client that lost
    its patience, 9 for an answer without a status line.
    """

    status: tuple[int, ...]
    name: str = "shop.example"
    path: str = "/"
    host: str = "web"
    port: int = 80
    method: str = "GET"
    body: int = 0  # bytes
    times: int = 3
    at_once: int = 1
    patience: float = 90.0  # seconds; longer than nginx waits for an app, which is a minute unless it is told

    def judge(self, seen: Iterable[int]) -> str:
        """What is wrong with the status codes that came; "" when nothing is."""
        codes = sorted(set(seen))
        if self.status[0] in codes and set(codes) <= set(self.status):
            return ""
        return f"{self.method} {self.name}{self.path} gave {codes} instead of {list(self.status)}"


Step = Run | Ask


def until(condition: str) -> str:
    """Wait for a condition of the shell, at most half a minute: the machine may have other things to do."""
    return f"for turn in $(seq 150); do {condition} && break; sleep 0.2; done"


def listens(port: int) -> str:
    """Wait until something listens on that port."""
    return until(f"ss -ltunH 'sport = :{port}' | grep -q .")


@dataclass(frozen=True)
class Named:
    """A finding that must come: its cause, the fault's host where it is to be removed, and the route that suffers."""

    cause: str
    host: str = "web"
    name: str = "shop.example"  # a server name of the route; "" when the finding touches no route
    severity: str = ""  # when it matters


@dataclass(frozen=True)
class Fault:
    """Healthy hosts, how they are broken, and what the diagnosis must say then. Without `first`: a healthy fleet."""

    id: str
    about: str
    hosts: Mapping[str, Host] = field(default_factory=dict)
    broken: tuple[Step, ...] = ()
    driven: tuple[Step, ...] = ()  # what shows the fault; also what heals it, where it has healed
    first: tuple[Named, ...] = ()  # in any order, before everything else
    never: tuple[str, ...] = ()  # causes that must not appear, with whatever severity
    also: tuple[str, ...] = ()  # further causes that may be named after the first: true, and not the root
    must_fail: bool = False  # the catalogue proves itself: this entry is to be a miss or a false alarm
    observations: Mapping[str, Any] = field(default_factory=dict)  # host -> observation, where no lab can make it

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9_]{0,25}", self.id):
            raise ValueError(f"{self.id}: the id of a fault is part of host names")

    @property
    def origin(self) -> Origin:
        return "written" if self.observations else "lab"

    def fleet_name(self, name: str) -> str:
        """What the fault's host is called where the hosts of many faults are up."""
        return f"{self.id.replace('_', '-')}-{name}"

    def fill(self, text: str) -> str:
        """The text with the hosts' names in it."""
        for name in self.hosts:
            text = text.replace(f"@{name}@", self.fleet_name(name))
        return text
