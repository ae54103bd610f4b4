# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Narrow accepting rules before whatever stops the connections; rules of others are never touched."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Mapping, Sequence

from ansible_collections.sre.bad_gateway.plugins.module_utils._change import _systemd, _unit_states
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._firewall_commands import (
    MANAGERS,
    PATH,
    commands,
    ufw_has,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._firewall_rules import (
    Accept,
    FirewallError,
    Stop,
    of_tool,
    stops,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._firewall_units import (
    files,
    policy_path,
    unit_path,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._journal import (
    Edit,
    Plan,
    UnitAction,
    UnitState,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._lock import turn
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._perform import perform
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._recovery import take_up_units
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._replace import read
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._writable import require_writable
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._filter_tables import Filters, read_filters
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._shared import Notes

_MODULE = "upstream_firewall"
_UFW = Path("/etc/ufw")


@dataclass(frozen=True)
class Step:
    """One rule, and what is done about it."""

    accept: Accept
    action: str  # none | add | renew | remove
    tools: Sequence[str]
    where: Sequence[str]  # chains that stop the connection, or would without our rule
    edits: Sequence[Edit]

    @property
    def told(self) -> str:
        if self.action == "remove":
            return f"{self.accept.unit}: removed, with its rule for {self.accept.text}"
        where = f", in {', '.join(self.where)}" if self.where else ""
        return f"{self.accept.unit}: accepts {self.accept.text}, by {', '.join(self.tools)}{where}"

    def as_dict(self) -> dict[str, Any]:
        return {
            "unit": self.accept.unit,
            "accepts": self.accept.text,
            "comment": self.accept.comment,
            "tools": list(self.tools),
            "stopped_in": list(self.where),
            "action": self.action,
        }


@dataclass(frozen=True)
class Outcome:
    """What became of the rules, or would in check mode."""

    steps: Sequence[Step]
    recovered: Sequence[str]

    def as_dict(self, *, diff: bool) -> dict[str, Any]:
        """What the module returns."""
        made = [step for step in self.steps if step.action != "none"]
        changes = [*self.recovered, *(step.told for step in made)]
        result: dict[str, Any] = {
            "changed": bool(changes),
            "changes": changes,
            "recovered": list(self.recovered),
            "rules": [step.as_dict() for step in self.steps],
        }
        if diff:
            result["diff"] = [_diff(edit) for step in made for edit in step.edits]
        return result


def apply(accepts: Sequence[Accept], *, tool: str, present: bool, check_mode: bool, run_id: str = "") -> Outcome:
    """See to it that the connections are accepted, or that our rules for them are gone."""
    with turn(module=_MODULE, run_id=run_id, check_mode=check_mode) as recovered:
        distinct = list(dict.fromkeys(accepts))
        tool = _manager() if tool == "auto" and distinct else tool
        steps = _present(distinct, tool) if present else [_absent(accept) for accept in distinct]
        made = [step for step in steps if step.action != "none"]
        edits = [edit for step in made for edit in step.edits]
        if check_mode:
            require_writable(edits)
        elif made:
            _perform(made, edits, tool=tool, run_id=run_id)
    return Outcome(steps, recovered)


def _present(accepts: Sequence[Accept], tool: str) -> list[Step]:
    if not accepts:
        return []
    if tool == "firewalld" and not policy_path(accepts[0]).parent.is_dir():
        raise FirewallError("firewalld has no policies here, it is older than 0.9: its rule would not outlive a reload")
    filters = _filters()
    return [_wanted(accept, filters, tool) for accept in accepts]


def _filters() -> Filters:
    notes = Notes()
    filters = read_filters(notes=notes)
    told = "; ".join(f"{one['what']}: {one['why']}" for one in notes.entries)
    if told:
        raise FirewallError(f"where the connections are stopped is not known: {told}")
    return filters


def _manager() -> str:
    """Who writes the host's rules, if anybody does; it would not know of rules that others insert."""
    if shutil.which("ufw", path=PATH) and b"ENABLED=yes" in (read(_UFW / "ufw.conf") or b"").splitlines():
        return "ufw"
    return "firewalld" if _unit_states.are_running(["firewalld.service"])[0] else "auto"


def _wanted(accept: Accept, filters: Filters, tool: str) -> Step:
    kept = unit_path(accept).exists()
    needed = of_tool(stops(accept, filters, ours=False), tool)
    told = commands(accept, needed, tool=tool) if needed or kept else []
    edits = _edits(accept, files(accept, told)) if told else []
    action = "none"
    if needed and not kept:
        action = "add"
    elif kept and (edits or not _is_kept(accept) or _stopped(accept, filters, tool)):
        action = "renew"
    if tool == "ufw" and action != "none":
        _require_room(accept)
    return Step(
        accept,
        action,
        tools=list(dict.fromkeys(one.tool for one in told)),
        where=[one.where for one in needed],
        edits=edits,
    )


def _require_room(accept: Accept) -> None:
    name = "user6.rules" if accept.version == 6 else "user.rules"
    says = ufw_has(accept, (read(_UFW / name) or b"").decode("utf-8", "replace"))
    if says:
        raise FirewallError(
            f"{accept.text}: ufw has a rule for just that already, which says {says}, and takes no second one; "
            "move or change it"
        )


def _absent(accept: Accept) -> Step:
    edits = _edits(accept, {})
    return Step(accept, "remove" if edits else "none", [], [], edits)


def _edits(accept: Accept, wanted: Mapping[Path, bytes]) -> list[Edit]:
    """What makes the files as they are wanted."""
    found = [Edit(str(path), read(path), wanted.get(path)) for path in (unit_path(accept), policy_path(accept))]
    return [edit for edit in found if edit.old != edit.new]


def _is_kept(accept: Accept) -> bool:
    return _unit_states.are_running([accept.unit])[0] and bool(_unit_states.links(accept.unit))


def _stopped(accept: Accept, filters: Filters, tool: str) -> list[Stop]:
    """Where connections end in spite of our rule. Where a manager puts it, others that may stop them come before it."""
    return [one for one in of_tool(stops(accept, filters), tool) if one.certain or tool not in MANAGERS]


def _perform(made: Sequence[Step], edits: Sequence[Edit], *, tool: str, run_id: str) -> None:
    states = [
        UnitState(unit, running=_unit_states.are_running([unit])[0], links=_unit_states.links(unit))
        for unit in (step.accept.unit for step in made)
    ]
    plan = Plan(
        module=_MODULE,
        run_id=run_id,
        edits=edits,
        units=[UnitAction(step.accept.unit, "restart" if step.action == "renew" else "none") for step in made],
        states=states,
    )
    perform(plan, accept=lambda: None, take_up=lambda: _take_up(made, tool))


def _take_up(made: Sequence[Step], tool: str) -> None:
    gone = [step.accept.unit for step in made if step.action == "remove"]
    if gone:
        off = [UnitState(unit, running=False, links={}) for unit in gone]
        troubles = take_up_units([UnitAction(unit) for unit in gone], off)
        if troubles:
            raise FirewallError("; ".join(troubles))
        return
    _systemd.daemon_reload()
    for step in made:
        answer = _systemd.run(["systemctl", "enable", "--", step.accept.unit])
        if answer.status != 0:
            raise FirewallError(f"systemctl enable {step.accept.unit}: {answer.stderr.strip()}")
        _systemd.revive("start" if step.action == "add" else "restart", step.accept.unit)
    _require_accepted(made, tool)


def _require_accepted(made: Sequence[Step], tool: str) -> None:
    filters = _filters()
    for step in made:
        left = [one.where for one in _stopped(step.accept, filters, tool) if one.certain]
        if left:
            raise FirewallError(f"{step.accept.text}: the rule is there, and {', '.join(left)} still stops it")


def _diff(edit: Edit) -> dict[str, str]:
    return {
        "before_header": edit.path,
        "after_header": edit.path,
        "before": (edit.old or b"").decode("utf-8", "backslashreplace"),
        "after": (edit.new or b"").decode("utf-8", "backslashreplace"),
    }
