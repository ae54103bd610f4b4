# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The listening sockets of this host by themselves, as facts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._shared import Notes
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._sockets import read_socket_files
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._surroundings import look_around


def socket_facts(paths: Iterable[str]) -> dict[str, Any]:
    """Return every listener, what is at `paths`, and what could not be seen."""
    notes = Notes()
    around = look_around(notes=notes)
    files = read_socket_files(paths, listeners=around.listeners, table=around.table, notes=notes)
    # As whom nobody said: that is for a probe to find out.
    shown = [{name: value for name, value in one.items() if name != "denied_at"} for one in files]
    return {"sockets": {"listeners": around.listeners, "files": shown}, "sockets_missed": notes.entries}
