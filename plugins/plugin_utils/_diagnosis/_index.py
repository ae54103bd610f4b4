# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One host's observation by what is asked of it: a host may have a thousand routes, and rules ask about each."""

from __future__ import annotations

from typing import Iterable, TypeVar

from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import (
    AppServer,
    Endpoint,
    Listener,
    Observation,
    Probe,
    SocketFile,
    Unit,
)
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._addresses import key_of, where

K = TypeVar("K")
T = TypeVar("T")


class Index:
    """Everything in the order in which the host saw it."""

    def __init__(self, observation: Observation) -> None:
        apps = observation["app_servers"]
        self.units: dict[str | None, Unit] = {each["name"]: each for each in reversed(observation["units"])}
        self.listeners: dict[int | str | None, list[Listener]] = _grouped(
            (where(key_of(each["address"], each["port"])), each) for each in observation["listeners"]
        )
        self.serving: dict[int | str | None, list[AppServer]] = _grouped(
            (where(key), each) for each in apps for key in each["listens"]
        )
        self.meant: dict[int | str | None, list[AppServer]] = _grouped(
            (where(key), each) for each in apps for key in each["binds"]
        )
        self.socket_files: dict[int | str | None, list[SocketFile]] = _grouped(
            (where(f"unix:{each['path']}"), each) for each in observation["socket_files"]
        )
        self.endpoints: dict[str, list[Endpoint]] = _grouped((each["key"], each) for each in observation["endpoints"])
        self.probes: dict[tuple[str, str], list[Probe]] = _grouped(
            ((each["endpoint"], each["protocol"]), each)
            for each in observation["probes"]
            if each["outcome"] != "not_probed"
        )


def _grouped(pairs: Iterable[tuple[K, T]]) -> dict[K, list[T]]:
    """Each thing once under each key."""
    groups: dict[K, list[T]] = {}
    for key, each in pairs:
        group = groups.setdefault(key, [])
        if not any(each is other for other in group):
            group.append(each)
    return groups
