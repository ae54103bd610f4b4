# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Diagnoses a run on the controller."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import ObservationError
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._diagnose import diagnose
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._run_directory import (
    RunDirectoryError,
    account_for,
    read_records,
    run_id,
)


class ActionModule(ActionBase):  # type: ignore[misc]  # ansible-core ships no types
    """Connects to nobody: what hosts showed lies on the controller already."""

    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return findings and plans."""
        super().run(tmp, task_vars)
        arguments = self.validate_argument_spec(
            argument_spec={
                "run_dir": {"type": "path", "required": True},
                "hosts": {"type": "list", "elements": "str", "default": []},
            }
        )[1]
        run_dir = Path(arguments["run_dir"])
        try:
            account_for(run_dir, arguments["hosts"])
            records = read_records(run_dir)
        except (RunDirectoryError, ObservationError) as error:
            raise AnsibleActionFail(str(error)) from None  # its cause is in its message already
        diagnosis = diagnose(records)
        return {
            "changed": False,
            "run_id": run_id(records),
            "findings": [finding.to_json() for finding in diagnosis.findings],
            "plans": diagnosis.plans,
            "hosts": diagnosis.hosts,
        }
