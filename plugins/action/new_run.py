# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Begins a run on the controller."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase

from ansible_collections.sre.bad_gateway.plugins.plugin_utils._refusal import refusal
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._run_directory import RunDirectoryError, begin
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._shipping import ShippingError, crossplane_archive

_ARGUMENTS = {
    "run_dir": {"type": "path", "required": True},
    "fail_on": {"type": "str", "choices": ["nothing", "risk", "intermittent", "outage"], "default": "nothing"},
}


class ActionModule(ActionBase):  # type: ignore[misc]  # ansible-core ships no types
    """Connects to nobody: a run's directory, and what travels to the hosts, lie on the controller."""

    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Say in one line what would otherwise fail on every host alike."""
        super().run(tmp, task_vars)
        arguments = self.validate_argument_spec(argument_spec=_ARGUMENTS)[1]
        try:
            crossplane_archive()
            begin(Path(arguments["run_dir"]))
        except (ShippingError, RunDirectoryError) as error:
            return refusal(error)
        return {"changed": False}
