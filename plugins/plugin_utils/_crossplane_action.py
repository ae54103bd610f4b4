# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The base of action plugins whose modules read nginx's files."""

from __future__ import annotations

import contextlib
from typing import Any

from ansible.plugins.action import ActionBase

from ansible_collections.sre.bad_gateway.plugins.plugin_utils._refusal import refusal
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._shipping import ShippingError, crossplane_archive

# Where Ansible loads the plugin, and not in the process that it then forks for each host. A task that finds it missing
# says so.
with contextlib.suppress(ShippingError):
    crossplane_archive()


class CrossplaneAction(ActionBase):  # type: ignore[misc]  # ansible-core ships no types
    """Runs the task's module with crossplane in its payload, so that hosts need nothing installed."""

    def execute_with_crossplane(self, *, arguments: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Run the module in one round trip and return its result."""
        try:
            archive = crossplane_archive()
        except ShippingError as error:
            return refusal(error)
        self._pipeline_where_safe()
        result: dict[str, Any] = self._execute_module(
            module_args={**arguments, "_crossplane": archive}, task_vars=task_vars
        )
        return result

    def _pipeline_where_safe(self) -> None:
        """Send the module through one SSH call instead of copying it there, running it and removing it.

        Ansible leaves this off because a sudo with `requiretty` refuses it. Without become nothing can refuse.
        """
        if self._connection.become is None and self._connection.has_pipelining:
            self._connection.set_option("pipelining", True)
