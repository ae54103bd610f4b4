# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Node.js: the program itself decides where it listens and how; little of that shows from outside."""

from __future__ import annotations

from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._app_servers._reading import (
    DEFAULT,
    Reading,
    endpoint_key,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._app_servers._start import Start
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._shared import Notes


def read_node(start: Start, *, notes: Notes) -> Reading:  # noqa: ARG001  # one signature for all kinds
    """PORT is a custom, not a rule, and the idle time-out Node.js's own default, which the program may change.

    The default is 5 s in every release so far.
    """
    reading = Reading(binds_known=False, binds_from="", whole=False)
    reading.put("idle_timeout", 5, DEFAULT)
    reading.put("backlog", 511, DEFAULT)
    reading.put("request_timeout", 0, DEFAULT)  # requestTimeout is about receiving a request, not answering it
    port = start.environment.get("PORT", "")
    if port.isdigit():
        reading.binds.append(endpoint_key(start.environment.get("HOST", "0.0.0.0"), port))  # noqa: S104
        reading.binds_from = "PORT"
    return reading
