# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Making routes lead where they should: find them, edit, and change nginx in one transaction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Sequence

from ansible_collections.sre.bad_gateway.plugins.module_utils._change._errors import RouteError
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._lock import turn
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._routes_change import (
    Correction,
    affected,
    described,
    edits_for,
    matching,
    nearest,
    told,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._splice import ArgumentEdit, edited
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._transaction import (
    Change,
    Outcome,
    apply,
    check,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._validate import Nginx
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._verify import Answer, question_for
from ansible_collections.sre.bad_gateway.plugins.module_utils._nginx._config import Config, read_config
from ansible_collections.sre.bad_gateway.plugins.module_utils._nginx._lexer import shown


@dataclass(frozen=True)
class Result:
    changes: tuple[Change, ...]
    outcome: Outcome | None  # None: all was right already
    told: tuple[str, ...]  # one line for every edit
    recovered: Sequence[str]  # what a killed change had left, and what was done about it

    def as_dict(self, *, diff: bool) -> dict[str, Any]:
        """What the module returns."""
        outcome = self.outcome
        files = sorted({path for change in self.changes for path in change.new})
        result: dict[str, Any] = {
            "changed": bool(self.changes or self.recovered),
            "changes": [*self.recovered, *self.told],
            "recovered": list(self.recovered),
            "files": [shown(path) for path in files],
            "validated": outcome.validated if outcome else "no",
            "validated_why": outcome.why if outcome else "nothing had to change",
            "reloaded": outcome.reloaded if outcome else False,
            "verified": [
                {"route": one.route, "before": _answered(one.before), "after": _answered(one.after)}
                for one in (outcome.verified if outcome else ())
            ],
        }
        if diff:
            result["diff"] = [_difference(change, path) for change in self.changes for path in sorted(change.new)]
        return result


def correct_routes(
    instances: Sequence[Nginx], corrections: Sequence[Correction], *, check_mode: bool, run_id: str = ""
) -> Result:
    """Apply every correction to the one nginx that has its route; ChangeError when that cannot be done whole."""
    with turn(module="nginx_routes", run_id=run_id, check_mode=check_mode) as recovered:
        configs = [read_config(nginx.config, prefix=nginx.prefix) for nginx in instances]
        edits: list[list[ArgumentEdit]] = [[] for _nginx in instances]
        for correction in corrections:
            index = _owner(instances, configs, correction)
            edits[index] += edits_for(configs[index], matching(configs[index], correction), correction)
        _require_agreement(edits)
        changes = [_change(nginx, config, found) for nginx, config, found in zip(instances, configs, edits) if found]
        outcome = (check(changes) if check_mode else apply(changes, run_id=run_id)) if changes else None
    lines = tuple(
        shown(f"{edit.file}:{edit.token.line}: {edit.token} -> {edit.value}")
        for edit in {(edit.file, edit.token.start): edit for found in edits for edit in found}.values()
    )
    return Result(changes=tuple(changes), outcome=outcome, told=lines, recovered=recovered)


def _owner(instances: Sequence[Nginx], configs: Sequence[Config], correction: Correction) -> int:
    owners = [index for index, config in enumerate(configs) if matching(config, correction)]
    if not owners:
        unread = [told(message) for config in configs for message in config.messages]
        near = [route for config in configs for route in nearest(config, correction)]
        raise RouteError(
            f"no route fits {correction}. Near ones: {'; '.join(near) or 'none'}"
            + (f". Not all could be read: {'; '.join(unread)}" if unread else "")
        )
    if len(owners) > 1:
        raise RouteError(
            f"{correction}: several nginx have such a route, name one with nginx_config: "
            + ", ".join(instances[index].config for index in owners)
        )
    return owners[0]


def _change(nginx: Nginx, config: Config, edits: list[ArgumentEdit]) -> Change:
    new = edited(config, edits)
    return Change(
        nginx=nginx,
        old={path: config.sources[path] for path in new},
        new=new,
        questions={described(one): question_for(one) for one in affected(config, edits)},
    )


def _require_agreement(edits: Sequence[Sequence[ArgumentEdit]]) -> None:
    values: dict[tuple[str, int], str] = {}
    for edit in (edit for found in edits for edit in found):
        if values.setdefault((edit.file, edit.token.start), edit.value) != edit.value:
            raise RouteError(
                f"{edit.file}:{edit.token.line}: two of the routes ask for different addresses in this line"
            )


def _answered(answer: Answer) -> dict[str, Any]:
    return {"status": answer.status, "detail": answer.detail}


def _difference(change: Change, path: str) -> dict[str, str]:
    return {
        "before": (change.old[path] or b"").decode("utf-8", "backslashreplace"),
        "after": (change.new[path] or b"").decode("utf-8", "backslashreplace"),
        "before_header": shown(path),
        "after_header": shown(path),
    }
