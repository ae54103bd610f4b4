# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Writes a run's reports on the controller, and prints its findings."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import ObservationError
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._diagnose import Diagnosis, diagnose
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._report import _write
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._report._table import table
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._run_directory import (
    HostRecord,
    RunDirectoryError,
    drop_before,
    read_records,
    set_aside,
)

_ARGUMENTS = {
    "run_dir": {"type": "path", "required": True},
    "phase": {"type": "str", "choices": ["audit", "before", "after"], "default": "audit"},
    "changes": {"type": "dict", "default": {}},
    "fail_on": {"type": "str", "choices": ["nothing", "risk", "intermittent", "outage"], "default": "nothing"},
    "fail_on_unseen": {"type": "bool", "default": True},
}

_SEVERITIES = ("risk", "intermittent", "outage")  # least first


class ActionModule(ActionBase):  # type: ignore[misc]  # ansible-core ships no types
    """Connects to nobody: what hosts showed lies on the controller already."""

    _requires_connection = False

    def run(self, tmp: Optional[str] = None, task_vars: Optional[Dict[str, Any]] = None) -> Dict[str, Any]:
        """Write the reports; then fail if what they say is what the caller wants to fail on."""
        super().run(tmp, task_vars)
        _, arguments = self.validate_argument_spec(argument_spec=_ARGUMENTS)
        try:
            return _report(arguments)
        except (RunDirectoryError, ObservationError) as error:
            raise AnsibleActionFail(str(error)) from error
