# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What nearly every collector builds upon: processes, listening sockets and units, joined to each other."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._foreign_sockets import (
    read_foreign_listeners,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._processes import (
    ProcessTable,
    read_processes,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._shared import Notes
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._sockets import read_listeners
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._units import Units, read_units

if TYPE_CHECKING:
    from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import Listener


class Surroundings(NamedTuple):
    table: ProcessTable
    listeners: list[Listener]
    units: Units


#: What systemd's own parts listen on among themselves: no route leads there, and each unit asked for takes its time.
_SYSTEMDS_OWN = "/run/systemd/"


def _owning_units(listeners: Iterable[Listener], instances: Iterable[str | None]) -> set[str]:
    names = {one["unit"] for one in listeners if not one["address"].startswith(_SYSTEMDS_OWN)} | set(instances)
    return {name for name in names if name and name.endswith((".service", ".socket"))}


def _join_socket_units(listeners: Iterable[Listener], units: Units) -> None:
    """A socket that PID 1 holds belongs to the .socket unit that lists it."""
    by_address: dict[str, str] = {}
    for facts in units.facts:
        for entry in facts.unit["raw"].get("Listen", "").splitlines():
            by_address[entry.rpartition(" (")[0]] = facts.name
    for listener in listeners:
        if listener["pid"] == 1:
            host = f"[{listener['address']}]" if ":" in listener["address"] else listener["address"]
            address = listener["address"] if listener["port"] is None else f"{host}:{listener['port']}"
            listener["unit"] = by_address.get(address, listener["unit"])


def look_around(*, notes: Notes) -> Surroundings:
    """Read them all, each once."""
    table = read_processes(notes=notes)
    listeners = read_listeners(table=table, notes=notes) + read_foreign_listeners(table=table, notes=notes)
    owners = _owning_units(listeners, (process.unit for process in table if process.name.startswith("nginx")))
    units = read_units(owners, notes=notes)
    _join_socket_units(listeners, units)
    return Surroundings(table=table, listeners=listeners, units=units)
