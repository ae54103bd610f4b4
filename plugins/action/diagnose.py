# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Diagnoses a run on the controller."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

from ansible.plugins.action import ActionBase

from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import ObservationError
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._diagnose import diagnose
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._model import Confidence
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._plan import Choice, ChoiceError, plans
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._rollout import rollout
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._refusal import refusal
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
                "only": {"type": "list", "elements": "str", "default": []},
                "skip": {"type": "list", "elements": "str", "default": []},
                "confidence": {"type": "str", "choices": list(get_args(Confidence)), "default": "possible"},
                "batches": {"type": "list", "elements": "str", "default": ["100%"]},
            }
        )[1]
        run_dir = Path(arguments["run_dir"])
        try:
            account_for(run_dir, arguments["hosts"])
            records = read_records(run_dir)
            diagnosis = diagnose(records)
            choice = Choice(tuple(arguments["only"]), tuple(arguments["skip"]), arguments["confidence"])
            wanted = plans(diagnosis.findings, choice)
            batches = rollout(records, wanted, sizes=arguments["batches"])
        except (RunDirectoryError, ObservationError, ChoiceError) as error:
            return refusal(error)
        return {
            "changed": False,
            "run_id": run_id(records),
            "findings": [finding.to_json() for finding in diagnosis.findings],
            "plans": wanted,
            "planned": [finding.id for finding in diagnosis.findings if choice.takes(finding)],
            "rollout": [batch.to_json() for batch in batches],
            "hosts": diagnosis.hosts,
        }
