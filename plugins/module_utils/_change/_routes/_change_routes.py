# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Making routes as they shall be: find them, draft every edit, and change nginx in one transaction."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Sequence

from ansible_collections.sre.bad_gateway.plugins.module_utils._change._app_servers import NOWHERE, AppServers
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._errors import RouteError
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._lock import turn
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._routes._draft import Draft, told
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._routes._entry import Entry, apply_entry
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._routes._error_pages import sweep_error_pages
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._routes._group import WantedUpstream
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._routes._relation import (
    decides_on_idle,
    require_relation,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._routes._route import Route
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._routes._selector import (
    Selector,
    described,
    matching,
    nearest,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._transaction import (
    Change,
    Outcome,
    apply,
    check,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._validate import Nginx
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._verify import Answer, question_for
from ansible_collections.sre.bad_gateway.plugins.module_utils._nginx._config import read_config
from ansible_collections.sre.bad_gateway.plugins.module_utils._nginx._lexer import shown
from ansible_collections.sre.bad_gateway.plugins.module_utils._nginx._routes import Pass

_NAMED = 5  # routes in a message


@dataclass(frozen=True)
class Result:
    changes: tuple[Change, ...]
    outcome: Outcome | None  # None: all was right already
    told: tuple[str, ...]  # one line for every edit
    warnings: tuple[str, ...]
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


def change_routes(
    instances: Sequence[Nginx],
    entries: Sequence[Entry],
    *,
    check_mode: bool,
    run_id: str = "",
    apps: AppServers = NOWHERE,
) -> Result:
    """Apply every entry to the one nginx that has its route; ChangeError when that cannot be done whole."""
    with turn(module="nginx_routes", run_id=run_id, check_mode=check_mode) as recovered:
        configs = [read_config(nginx.config, prefix=nginx.prefix) for nginx in instances]
        drafts = [
            Draft(config, version=_numbers(nginx.version), plus=nginx.plus) for config, nginx in zip(configs, instances)
        ]
        routes = draft_entries(drafts, entries, apps=apps)
        changes = [
            _change(nginx, draft, found) for nginx, draft, found in zip(instances, drafts, routes) if draft.results()
        ]
        outcome = (check(changes) if check_mode else apply(changes, run_id=run_id)) if changes else None
    lines = tuple(line for draft in drafts for line in draft.changes())
    warnings = tuple(dict.fromkeys(line for draft in drafts for line in draft.warnings))
    return Result(changes=tuple(changes), outcome=outcome, told=lines, warnings=warnings, recovered=recovered)


def draft_entries(drafts: Sequence[Draft], entries: Sequence[Entry], *, apps: AppServers = NOWHERE) -> list[list[Pass]]:
    """Apply the entries to the drafts; what comes back are the routes of each draft that a change reaches."""
    reached: list[list[Pass]] = [[] for _draft in drafts]
    keeping: list[tuple[Route, WantedUpstream]] = []
    for number, entry in enumerate(entries):
        index, found = _owner(drafts, entry.selector)
        draft = drafts[index]
        draft.begin(number)
        route = Route(draft, found[0])
        if entry.upstream is not None and not entry.absent and decides_on_idle(route, entry.upstream):
            keeping.append((route, entry.upstream))
        apply_entry(entry, route)
        reached[index] += _require_alone(draft, entry)
    for route, wanted in keeping:
        require_relation(route, wanted, apps)
    for draft in drafts:
        if any(entry.absent and entry.retry_after is not None for entry in entries):
            sweep_error_pages(draft)
    return [list({id(one): one for one in found}.values()) for found in reached]


def _owner(drafts: Sequence[Draft], selector: Selector) -> tuple[int, list[Pass]]:
    fitting = [matching(draft.passes, selector) for draft in drafts]
    owners = [(index, found) for index, found in enumerate(fitting) if found]
    if not owners:
        unread = [told(message) for draft in drafts for message in draft.config.messages]
        near = [route for draft in drafts for route in nearest(draft.passes, selector)]
        raise RouteError(
            f"no route fits {selector}. Near ones: {'; '.join(near) or 'none'}"
            + (f". Not all could be read: {'; '.join(unread)}" if unread else "")
        )
    if len(owners) > 1:
        raise RouteError(
            f"{selector}: several nginx have such a route, name one with nginx_config: "
            + ", ".join(shown(drafts[index].config.main) for index, _found in owners)
        )
    return owners[0]


def _require_alone(draft: Draft, entry: Entry) -> list[Pass]:
    """The routes that the entry changes. An upstream block is there to be shared; a snippet may be by accident."""
    statements = draft.touched_routes()
    if len(statements) > 1 and not (entry.allow_shared or entry.names_statement):
        named = [described(one) for one in statements[:_NAMED]]
        more = f" and {len(statements) - _NAMED} more" if len(statements) > _NAMED else ""
        servers = ", ".join(sorted({one.server_names[0] if one.server_names else "_" for one in statements}))
        raise RouteError(
            f"{entry.selector}: the statements serve {len(statements)} routes, of {servers}: {'; '.join(named)}{more}; "
            "allow that with allow_shared"
        )
    return [*statements, *draft.touched_users()]


def _change(nginx: Nginx, draft: Draft, reached: Sequence[Pass]) -> Change:
    new = draft.results()
    return Change(
        nginx=nginx,
        old={path: draft.config.sources[path] for path in new},
        new=new,
        questions={described(one): question_for(one) for one in reached},
    )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"[0-9]+", version.partition("-")[0])[:3])


def _answered(answer: Answer) -> dict[str, Any]:
    return {"status": answer.status, "detail": answer.detail}


def _difference(change: Change, path: str) -> dict[str, str]:
    return {
        "before": (change.old[path] or b"").decode("utf-8", "backslashreplace"),
        "after": (change.new[path] or b"").decode("utf-8", "backslashreplace"),
        "before_header": shown(path),
        "after_header": shown(path),
    }
