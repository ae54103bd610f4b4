# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options of every module that reads logs."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Any

from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._logs._files import Window

#: As the documentation fragment _log_window says.
LOG_OPTIONS = {
    "log_since": {"type": "str", "default": "24h"},
    "log_bytes": {"type": "bytes", "default": "64M"},
}

_SPAN = r"(?P<number>\d+)(?P<unit>[smhd]?)"
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


class LogOptionError(ValueError):
    """An option that cannot be used; the message says which and what is."""


def log_window(params: Mapping[str, Any]) -> Window:
    """The window that a module's parameters ask for, as seen from now."""
    span = re.fullmatch(_SPAN, params["log_since"].strip())
    if span is None:
        raise LogOptionError(f"log_since: {params['log_since']!r} is no span of time; give seconds, or 90m, 24h, 7d")
    if params["log_bytes"] < 0:
        raise LogOptionError("log_bytes: give 0 or more")
    return Window(since=time.time() - int(span["number"]) * _UNITS[span["unit"]], limit=params["log_bytes"])
