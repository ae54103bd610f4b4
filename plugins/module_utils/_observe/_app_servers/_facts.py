# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The app servers of this host by themselves, as facts."""

from __future__ import annotations

from typing import Any

from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._app_servers._find import find_app_servers
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._shared import Notes
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._surroundings import look_around


def app_server_facts() -> dict[str, Any]:
    """Return the app servers, and what could not be seen while looking for them."""
    notes = Notes()
    around = look_around(notes=notes)
    apps = find_app_servers(table=around.table, units=around.units, listeners=around.listeners, notes=notes)
    return {"app_servers": apps, "app_servers_missed": notes.entries}
