# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Seeing to it that a unit runs, listens where its clients expect it, and comes back after a reboot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Mapping, Sequence

from ansible_collections.sre.bad_gateway.plugins.module_utils._change import _systemd, _unit_states
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._journal import Plan, UnitState
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._listening import missing, settled_state, wait
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._lock import turn
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._perform import perform
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._systemd import SystemdError

#: What `systemctl is-enabled` says of units that `enable` or `disable` would make different.
_OFF = ("disabled", "enabled-runtime", "linked", "linked-runtime")
_ON = ("enabled", "enabled-runtime")
_OF_SERVICES = ("ExecMainStatus", "NRestarts")


@dataclass(frozen=True)
class Wanted:
    """How a unit is to be."""

    unit: str
    endpoints: Sequence[str] = ()
    enabled: bool | None = None  # None: as it is
    timeout: float = 30.0


@dataclass(frozen=True)
class Outcome:
    """What became of the unit, or would in check mode."""

    unit: str
    enabling: str  # "none", "enable" or "disable"
    action: str  # "none", "start" or "restart"
    missing: Sequence[str]  # endpoints where the unit does not listen yet: only ever filled in check mode
    was: Mapping[str, Any]  # what a start clears away
    recovered: Sequence[str]

    @property
    def changes(self) -> list[str]:
        """For reports: what this did to the host."""
        deeds = [f"{self.unit}: {deed}" for deed in (self.enabling, self.action) if deed != "none"]
        return [*self.recovered, *deeds]


def ensure(wanted: Wanted, *, check_mode: bool, run_id: str = "") -> Outcome:
    """Start the unit when it does not run; restart it once when it runs and does not listen; wait until it does."""
    with turn(module="service_listening", run_id=run_id, check_mode=check_mode) as recovered:
        _systemd.require_loaded(wanted.unit)
        state = settled_state(wanted.unit, timeout=wanted.timeout)
        silent = missing(wanted.endpoints)
        enabling, action = _enabling(wanted), _action(state, silent)
        was = seen(wanted.unit) if action == "start" else {}
        if not check_mode and (enabling, action) != ("none", "none"):
            _perform(wanted, enabling, action, run_id=run_id)
    return Outcome(wanted.unit, enabling, action, missing=silent if check_mode else [], was=was, recovered=recovered)


def seen(unit: str) -> dict[str, Any]:
    """How a unit ended, before the next start makes systemd forget it."""
    told = _systemd.properties(unit, "ActiveState", "Result", *_OF_SERVICES if unit.endswith(".service") else ())
    return {
        "state": told["ActiveState"],
        "result": told["Result"],
        "exit_status": int(told.get("ExecMainStatus") or 0),
        "restarts": int(told.get("NRestarts") or 0),
        "journal": _systemd.journal_tail(unit),
    }


def _action(state: str, silent: Sequence[str]) -> str:
    if state != "active":
        return "start"
    return "restart" if silent else "none"


def _enabling(wanted: Wanted) -> str:
    if wanted.enabled is None:
        return "none"
    state = _systemd.run(["systemctl", "is-enabled", "--", wanted.unit]).stdout.strip()
    if wanted.enabled:
        return "enable" if state in _OFF else "none"
    return "disable" if state in _ON else "none"


def _perform(wanted: Wanted, enabling: str, action: str, *, run_id: str) -> None:
    def take_up() -> None:
        if enabling != "none":
            _enable(enabling, wanted.unit)
        if action != "none":
            _systemd.revive(action, wanted.unit)
            wait(wanted.unit, wanted.endpoints, timeout=wanted.timeout)

    states: list[UnitState] = []
    if enabling != "none":
        states += _unit_states.before_enabling(wanted.unit)
    if action != "none":
        states += _unit_states.before_start(wanted.unit)
    plan = Plan(module="service_listening", run_id=run_id, edits=[], states=_unit_states.merged(states))
    perform(plan, accept=lambda: None, take_up=take_up)


def _enable(verb: str, unit: str) -> None:
    answer = _systemd.run(["systemctl", verb, "--", unit])
    if answer.status != 0:
        raise SystemdError(f"systemctl {verb} {unit}: {answer.stderr.strip() or f'exit code {answer.status}'}")
