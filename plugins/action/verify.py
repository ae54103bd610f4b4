# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tells whether the routes of a run answer, and whether they got worse, from observations on the controller."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Mapping, Sequence

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import ObservationError
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._fleet import Fleet
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._verdict import Silence, silent, worse
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._refusal import refusal
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._report._text import number
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._run_directory import (
    HostRecord,
    RunDirectoryError,
    account_for,
    read_records,
)


class ActionModule(ActionBase):  # type: ignore[misc]  # ansible-core ships no types
    """Connects to nobody: what hosts showed lies on the controller already."""

    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Fail when a route does not answer; with `against`, only when it did there."""
        super().run(tmp, task_vars)
        arguments = self.validate_argument_spec(
            argument_spec={
                "run_dir": {"type": "path", "required": True},
                "hosts": {"type": "list", "elements": "str", "default": []},
                "against": {"type": "path"},
            }
        )[1]
        try:
            records, before = _records(arguments)
        except (RunDirectoryError, ObservationError) as error:
            return refusal(error)
        result = _result(records, before)
        if not result.get("failed"):  # which Ansible shows
            Display().display(f"\n{result['msg']}\n")
        return result


def _records(arguments: Mapping[str, Any]) -> tuple[dict[str, HostRecord], dict[str, HostRecord] | None]:
    run_dir = Path(arguments["run_dir"])
    account_for(run_dir, arguments["hosts"])
    return read_records(run_dir), read_records(Path(arguments["against"])) if arguments["against"] else None


def _result(records: Mapping[str, HostRecord], before: Mapping[str, HostRecord] | None) -> dict[str, Any]:
    unseen = [f"{record.host}: could not be looked at: {record.reason}" for record in _unseen(records)]
    if before is None:
        found = silent(records)
        complaints = [*unseen, *(f"{_told(one)} does not answer: {one.why}" for one in found)]
    else:  # what the other hosts showed then still tells where an endpoint ends
        found = worse(before, {**before, **{name: record for name, record in records.items() if record.observation}})
        complaints = [f"{_told(one)} answered before and does not now: {one.why}" for one in found]
    result = {"changed": False, "silent": [one.to_json() for one in found]}
    if complaints:
        return {**result, "failed": True, "msg": "\n".join(complaints)}
    return {**result, "msg": _well(records)}


def _well(records: Mapping[str, HostRecord]) -> str:
    routes = {use.route_key for use in Fleet(records).uses}
    hosts = number(len(records), "host")
    if not routes:
        return f"No route was found on {hosts}: there was nothing to verify"
    return f"{number(len(routes), 'route')} on {hosts}, none without an answer"


def _unseen(records: Mapping[str, HostRecord]) -> Sequence[HostRecord]:
    return [record for record in records.values() if record.observation is None]


def _told(one: Silence) -> str:
    return f"{one.host}: {one.route} at {one.endpoint}"
