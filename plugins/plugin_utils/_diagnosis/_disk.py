# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""File systems without room: who cannot write a log, a socket or a temporary file may not start."""

from __future__ import annotations

from typing import Iterable

from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import Filesystem
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._fleet import Fleet
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._model import Evidence, Fix

#: What a journal calls it.
NO_SPACE = ("no_space_left",)

#: Less than a page or two: nothing useful can be written.
_NOTHING = 64 << 10


def full(fleet: Fleet, host: str) -> list[Filesystem]:
    """The file systems of a host that take no more."""
    return [each for each in fleet.observations[host]["capacity"]["filesystems"] if _is_full(each)]


def evidence(host: str, filesystems: Iterable[Filesystem]) -> list[Evidence]:
    return [
        Evidence(
            kind="capacity",
            text=f"{each['mount']} is full: {each['free']} of {each['size']} bytes are free"
            + (f", {each['inodes_free']} of {each['inodes']} inodes" if each["inodes"] else "")
            + (f"; on it: {', '.join(each['paths'])}" if each["paths"] else ""),
            source=host,
        )
        for each in filesystems
    ]


def make_room(filesystems: Iterable[Filesystem], unit: str) -> Fix | None:
    """Rotate the logs that lie there, for somebody who knows what wrote them; None when none is known."""
    logs = sorted({path for each in filesystems for path in each["paths"] if path.endswith(".log")})
    if not logs:
        return None
    return Fix(
        role="log_rotation",
        automatic=False,
        summary=f"Set unit of log_rotation_logs to what writes these logs, if they fill the disk; then start {unit}",
        variables={"log_rotation_logs": [{"name": unit.partition(".")[0], "paths": logs}]},
    )


def _is_full(filesystem: Filesystem) -> bool:
    no_inodes = filesystem["inodes"] > 0 and filesystem["inodes_free"] == 0
    return not filesystem["read_only"] and (filesystem["free"] <= _NOTHING or no_inodes)
