# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sends crossplane along with nginx_routes."""

from __future__ import annotations

from typing import Any

from ansible_collections.sre.bad_gateway.plugins.plugin_utils._crossplane_action import CrossplaneAction


class ActionModule(CrossplaneAction):
    """The module's own arguments, and the payload."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the module on the host."""
        super().run(tmp, task_vars)
        return self.execute_with_crossplane(arguments=dict(self._task.args), task_vars=task_vars or {})
