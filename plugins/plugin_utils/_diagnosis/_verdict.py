# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether routes answer, and whether they did before: what stops a rollout."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Mapping

from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._failures import Failure, failures
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._fleet import Fleet, Use
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._run_directory import HostRecord

_Key = tuple[str, str, str, str]  # host, nginx instance, route, endpoint


@dataclass(frozen=True)
class Silence:
    """A route that gets no answer from one of its endpoints."""

    host: str
    route: str
    endpoint: str
    why: str

    def to_json(self) -> dict[str, str]:
        return {"host": self.host, "route": self.route, "endpoint": self.endpoint, "why": self.why}


def silent(records: Mapping[str, HostRecord]) -> list[Silence]:
    """Every route that has no endpoint left that answers, once for each of them."""
    return [_silence(use, failure) for use, failure in _dead(records).values() if failure.severity == "outage"]


def worse(before: Mapping[str, HostRecord], after: Mapping[str, HostRecord]) -> list[Silence]:
    """What answered before and does not any more. A route that leads elsewhere now is judged by whether it answers.

    A host that cannot be looked at again says nothing, neither good nor bad.
    """
    dead_before, dead_after = _dead(before), _dead(after)
    used_before = {_key(use) for use in Fleet(before).uses}
    silent_before = {key[:3] for key, (_use, failure) in dead_before.items() if failure.severity == "outage"}
    known = {key[:3] for key in used_before}
    return [
        _silence(use, failure)
        for key, (use, failure) in dead_after.items()
        if (key in used_before and key not in dead_before)
        or (failure.severity == "outage" and key[:3] in known and key[:3] not in silent_before)
    ]


def _dead(records: Mapping[str, HostRecord]) -> dict[_Key, tuple[Use, Failure]]:
    return {_key(use): (use, failure) for failure in failures(Fleet(records)) for use in failure.uses}


def _key(use: Use) -> _Key:
    return (*use.route_key, use.endpoint["key"])


def _silence(use: Use, failure: Failure) -> Silence:
    why = f"{failure.outcome}: {failure.probe['detail']}" if failure.probe else failure.outcome
    return Silence(host=use.host, route=use.route["id"], endpoint=use.endpoint["key"], why=why)
