# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Observes a host and keeps what was seen on the controller, also when the host could not be looked at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure

from ansible_collections.sre.bad_gateway.plugins.plugin_utils._crossplane_action import CrossplaneAction
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._run_directory import (
    HostRecord,
    RunDirectoryError,
    now,
    write_record,
)


class ActionModule(CrossplaneAction):
    """With `run_dir`, the observation goes to a file there instead of into the result: fleets are large."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the module on the host, in one round trip."""
        super().run(tmp, task_vars)
        task_vars = task_vars or {}
        arguments = dict(self._task.args)
        run_dir = arguments.pop("run_dir", None)
        host = str(task_vars["inventory_hostname"])
        try:
            result = self.execute_with_crossplane(arguments=arguments, task_vars=task_vars)
        except AnsibleConnectionFailure as error:
            self._keep(run_dir, HostRecord(host=host, status="unreachable", reason=_one_line(error), recorded_at=now()))
            raise
        except AnsibleActionFail as error:
            self._keep(run_dir, HostRecord(host=host, status="failed", reason=_one_line(error), recorded_at=now()))
            raise
        if run_dir is None:
            return result
        result["record"] = self._keep(run_dir, _record(host, result))
        result.pop("observation", None)
        return result

    def _keep(self, run_dir: str | None, record: HostRecord) -> str | None:
        if run_dir is None:
            return None
        try:
            return str(write_record(Path(run_dir), record))
        except RunDirectoryError as error:
            raise AnsibleActionFail(str(error)) from error


def _record(host: str, result: dict[str, Any]) -> HostRecord:
    if result.get("failed") or "observation" not in result:
        reason = str(result.get("msg") or result.get("module_stderr") or "the module returned nothing")
        return HostRecord(host=host, status="failed", reason=_one_line(reason), recorded_at=now())
    return HostRecord(host=host, status="ok", observation=result["observation"], recorded_at=now())


def _one_line(message: object) -> str:
    return " ".join(str(message).split())
