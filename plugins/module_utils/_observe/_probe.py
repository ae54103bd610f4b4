# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Connections to endpoints, made as nginx makes them: in its namespaces, with its workers' user and groups.

Forked children do it, one for each such viewpoint, side by side: see _probe_child.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._connection import Call, Result
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._manners import Manner
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._probe_child import (
    Resolved,
    Task,
    Viewpoint,
    messages,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._processes import namespace_of
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._shared import Notes

if TYPE_CHECKING:
    from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import Endpoint, Probe


class Wanted(NamedTuple):
    """One endpoint to look at."""

    endpoint: str
    transport: str
    protocol: str
    port: int | None
    path: str | None
    addresses: tuple[str, ...]  # none when the name did not resolve
    resolve_error: str | None
    manner: Manner

    @property
    def calls(self) -> tuple[Call, ...]:
        """What to connect to, one after the other as nginx may."""
        targets = self.addresses if self.path is None else (self.path,)
        return tuple(Call(self.transport, self.protocol, target, self.port, self.manner) for target in targets)

    @classmethod
    def of(cls, endpoint: Endpoint, *, manner: Manner) -> Wanted:
        return cls(
            endpoint=endpoint["key"],
            transport=endpoint["transport"],
            protocol=endpoint["protocol"],
            port=endpoint["port"],
            path=endpoint["path"],
            addresses=tuple(endpoint["addresses"]),
            resolve_error=endpoint["resolve_error"],
            manner=manner,
        )


class View(NamedTuple):
    """What to look at, and as whom."""

    viewpoint: Viewpoint
    wanted: Sequence[Wanted] = ()
    hosts: Sequence[str] = ()  # names to resolve


@dataclass
class Looked:
    probes: list[Probe] = field(default_factory=list)
    denied: dict[str, str] = field(default_factory=dict)  # where a worker may not pass, by the path of the socket


@dataclass
class _Job:
    """The work of one child: what all instances want that look with the same eyes. Nothing is asked twice."""

    viewpoint: Viewpoint
    hosts: list[str] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    user: str = ""
    as_nginx: bool = False
    names: dict[str, Resolved] = field(default_factory=dict)
    results: dict[object, tuple[Result, int]] = field(default_factory=dict)  # by Call.question


def _eyes(viewpoint: Viewpoint) -> object:
    """Equal for viewpoints that see the same; one whose namespaces are hidden is like no other."""
    try:
        spaces = [namespace_of(viewpoint.pid or "self", kind) for kind in ("net", "mnt")]
    except OSError:
        return viewpoint
    return (viewpoint.credentials, *spaces)


def _run(views: Sequence[View], *, mode: str, seconds: float, notes: Notes) -> list[_Job]:
    """The job of each view, done within `seconds`."""
    jobs: dict[object, _Job] = {}
    of_views = [jobs.setdefault(_eyes(view.viewpoint), _Job(view.viewpoint)) for view in views]
    for view, job in zip(views, of_views):  # strict= came with Python 3.10
        known = {one.question for one in job.calls}
        for one in (one for wanted in view.wanted for one in wanted.calls):
            if one.question not in known:
                known.add(one.question)
                job.calls.append(one)
        job.hosts += [host for host in view.hosts if host not in job.hosts]
    busy = [job for job in jobs.values() if job.calls or job.hosts]
    tasks = [Task(job.viewpoint, job.calls, job.hosts) for job in busy]
    for number, message in messages(tasks, mode=mode, seconds=seconds):
        _take(busy[number], message, notes=notes)
    return of_views


def _take(job: _Job, message: dict[str, object], *, notes: Notes) -> None:
    """Keep what a child said; it is our own code that said it."""
    if "refused" in message:
        job.user = _user(message["uid"])  # type: ignore[arg-type]
        job.as_nginx = job.viewpoint.credentials is not None and not message["refused"]
        for what, why in message["refused"]:  # type: ignore[attr-defined]
            notes.miss(what, why)
    elif "host" in message:
        job.names[str(message["host"])] = Resolved(**message["resolved"])  # type: ignore[arg-type]
    else:
        made = job.calls[message["call"]]  # type: ignore[call-overload]
        job.results[made.question] = Result(**message["result"]), message["milliseconds"]  # type: ignore[arg-type, assignment]


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def resolve_names(views: Sequence[View], *, seconds: float, notes: Notes) -> list[dict[str, Resolved]]:
    """Every host name as each viewpoint resolves it, all within `seconds`."""
    late = Resolved(error=f"no answer from the resolver within {seconds:g} s")
    jobs = _run(views, mode="none", seconds=seconds, notes=notes)
    return [{host: job.names.get(host, late) for host in view.hosts} for view, job in zip(views, jobs)]


def look(views: Sequence[View], *, mode: str, seconds: float, notes: Notes) -> Looked:
    """Connect to every address of every endpoint within `seconds`. One Probe for each, also where it was not made."""
    looked = Looked()
    over = Result(outcome="not_probed", phase="connect", detail=f"not done within {seconds:g} s")
    for view, job in zip(views, _run(views, mode=mode, seconds=seconds, notes=notes)):
        say = partial(_probe_of, instance=view.viewpoint.instance, job=job)
        for wanted in view.wanted:
            calls = wanted.calls
            for one in calls:
                result, milliseconds = job.results.get(one.question, (over, 0))
                looked.probes.append(say(wanted, _shown_address(one), result, milliseconds=milliseconds))
                if result.denied_at and job.as_nginx:
                    looked.denied.setdefault(one.address, result.denied_at)
            if not calls:
                unresolved = Result(outcome="unresolved", phase="resolve", detail=wanted.resolve_error or "")
                looked.probes.append(say(wanted, "", unresolved, milliseconds=0))
    return looked


def _shown_address(one: Call) -> str:
    if one.transport == "unix":
        return f"unix:{one.address}"
    return f"[{one.address}]:{one.port}" if ":" in one.address else f"{one.address}:{one.port}"


def _probe_of(wanted: Wanted, address: str, result: Result, *, instance: str, job: _Job, milliseconds: int) -> Probe:
    return {
        "endpoint": wanted.endpoint,
        "protocol": wanted.protocol,
        "address": address,
        "outcome": result.outcome,
        "phase": result.phase,
        "errno": result.errno,
        "detail": result.detail,
        "status": result.status,
        "speaks": result.speaks,
        "instance": instance,
        "user": job.user or _user(os.geteuid()),
        "as_nginx": job.as_nginx,
        "milliseconds": milliseconds,
    }
