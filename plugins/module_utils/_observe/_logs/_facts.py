# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""nginx's error logs by themselves, as facts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._logs._error_log import read_error_logs
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._logs._files import Window
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._nginxes import (
    Nginx,
    read_nginxes,
    units_by_log,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._shared import Notes
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._surroundings import look_around

if TYPE_CHECKING:
    from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import ErrorLogSetting


def error_log_facts(config: str | None, *, paths: Sequence[str], window: Window) -> dict[str, Any]:
    """Return the error logs at these paths, or those that every nginx (or the one with that main file) writes."""
    notes = Notes()
    nginxes = [] if paths else _nginxes(config, notes=notes)
    settings = [_named(path) for path in paths] or [one for nginx in nginxes for one in nginx.shown["error_logs"]]
    logs = read_error_logs(settings, units=units_by_log(nginxes), window=window, notes=notes)
    return {"error_logs": logs, "error_logs_missed": notes.entries}


def _named(path: str) -> ErrorLogSetting:
    return {"destination": path, "level": "", "file": "", "line": 0}


def _nginxes(config: str | None, *, notes: Notes) -> list[Nginx]:
    around = look_around(notes=notes)
    return read_nginxes(table=around.table, units=around.units, config=config, notes=notes)
