# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Observes a host and keeps what was seen on the controller, also when the host could not be looked at."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Mapping

from ansible.errors import AnsibleConnectionFailure, AnsibleError

from ansible_collections.sre.bad_gateway.plugins.plugin_utils._crossplane_action import CrossplaneAction
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._refusal import refusal
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
        try:
            return self._look(task_vars or {})
        except RunDirectoryError as error:
            return refusal(error)

    def _look(self, task_vars: dict[str, Any]) -> dict[str, Any]:
        arguments = dict(self._task.args)
        run_dir = arguments.pop("run_dir", None)
        host = str(task_vars["inventory_hostname"])
        become = " -b" if self._connection.become else ""
        remedy = f"see to it that `ansible{become} -m ansible.builtin.ping {host}` works"
        try:
            result = opened(self.execute_with_crossplane(arguments=arguments, task_vars=task_vars))
        except AnsibleConnectionFailure as error:
            reason = f"{one_line(error)}; {remedy}"
            _keep(run_dir, HostRecord(host=host, status="unreachable", reason=reason, recorded_at=now()))
            raise
        except AnsibleError as error:  # of Ansible's own on the way there, like a password for sudo that is missing
            result = {"failed": True, "msg": f"{one_line(error)}; {remedy}"}
        if run_dir is None:
            return result
        result["record"] = _keep(run_dir, record_of(host, result, interpreter=self._used_interpreter or "Python"))
        result.pop("observation", None)
        return result


def _keep(run_dir: str | None, record: HostRecord) -> str | None:
    return None if run_dir is None else str(write_record(Path(run_dir), record))


def opened(result: dict[str, Any]) -> dict[str, Any]:
    """The module's result with its observation, which comes as a text, as data."""
    return {**result, "observation": json.loads(result["observation"])} if "observation" in result else result


def record_of(host: str, result: Mapping[str, Any], *, interpreter: str) -> HostRecord:
    """What the module's result says about looking at the host."""
    if result.get("failed") or "observation" not in result:
        return HostRecord(host=host, status="failed", reason=_why(result, interpreter), recorded_at=now())
    return HostRecord(host=host, status="ok", observation=result["observation"], recorded_at=now())


def _why(result: Mapping[str, Any], interpreter: str) -> str:
    said = one_line(result.get("msg") or "the module returned nothing")
    if "module_stderr" not in result:  # the module itself says why
        return said
    # What came back is no answer of a module: the interpreter did not get that far. Its last words say why.
    last = next(filter(None, map(one_line, reversed(str(result["module_stderr"]).splitlines()))), said)
    return (
        f"{interpreter.lstrip('#!')} cannot run the module ({last}); "
        "set ansible_python_interpreter to a Python 3.8 or later of this host"
    )


def one_line(message: object) -> str:
    """The message without line breaks."""
    return " ".join(str(message).split())
