# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whose units are asked for."""

from __future__ import annotations

from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._processes import ProcessTable
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._sockets import Socket, _listener
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._surroundings import _owning_units


def test_what_systemds_parts_listen_on_among_themselves_is_nobodys_upstream() -> None:
    sockets = {"/run/systemd/journal/stdout": "systemd-journald.service", "/run/shop.sock": "shop.service"}
    owned = [
        {**_listener(Socket("unix", path, None, 1), owners={}, queues={}, table=ProcessTable({})), "unit": unit}
        for path, unit in sockets.items()
    ]

    assert _owning_units(owned, ["nginx.service", None]) == {"shop.service", "nginx.service"}  # type: ignore[arg-type]
