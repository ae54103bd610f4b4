# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One all-or-nothing change of nginx's files: test, write, reload, look, and take back what made it worse."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Mapping, Sequence

from ansible_collections.sre.bad_gateway.plugins.module_utils._change._errors import (
    ChangeError,
    ConfigError,
    WorseError,
    WriteError,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._journal import Edit, Plan
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._perform import perform
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._reload import reload
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._validate import (
    Nginx,
    Verdict,
    validate_live,
    validate_with,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._verify import Answer, Question, ask
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._writable import require_writable

_PAUSE = 0.5


@dataclass(frozen=True)
class Change:
    """What one nginx gets: whole new contents of files, and the questions that tell whether it still works."""

    nginx: Nginx
    old: Mapping[str, bytes | None]  # as read; None: there is no such file
    new: Mapping[str, bytes | None]  # None: the file goes
    questions: Mapping[str, Question | None]  # by route


@dataclass(frozen=True)
class Verification:
    route: str
    before: Answer
    after: Answer


@dataclass(frozen=True)
class Outcome:
    validated: str  # namespace | in place | no
    why: str  # why not in the namespace
    reloaded: bool
    verified: tuple[Verification, ...]


def check(changes: Sequence[Change]) -> Outcome:
    """What `apply` would do, without touching a live file."""
    hows = [validated(change) for change in changes]
    return _outcome(hows, otherwise="no", reloaded=False, verified=())


def apply(changes: Sequence[Change], *, module: str = "nginx_routes", run_id: str = "") -> Outcome:
    """Make all changes, or none: ChangeError then says why, and every file is as it was.

    To be called by who has the host's turn.
    """
    hows = [validated(change) for change in changes]
    before = _answers(changes)

    def accept() -> None:
        for change, how in zip(changes, hows):
            require_valid_in_place(change, how)

    def take_up() -> Outcome:
        reloaded = [reload(change.nginx) for change in changes]
        return _outcome(hows, otherwise="in place", reloaded=any(reloaded), verified=_verified(changes, before))

    plan = Plan(module=module, run_id=run_id, edits=_edits(changes), nginx=[change.nginx for change in changes])
    return perform(plan, accept=accept, take_up=take_up)


def _edits(changes: Sequence[Change]) -> list[Edit]:
    edits: dict[str, Edit] = {}
    for change in changes:
        for path, new in change.new.items():
            edit = Edit(path=path, old=change.old[path], new=new)
            if edits.setdefault(os.path.realpath(path), edit).new != new:
                raise ChangeError(
                    f"{path}: two changes want it to hold different things; make them one after the other"
                )
    return [edit for edit in edits.values() if edit.old != edit.new]


def _require_inside(change: Change) -> None:
    """A link from sites-enabled to sites-available is followed; one that leads out of nginx's own tree is not."""
    own = Path(change.nginx.config).resolve().parent
    for path in change.new:
        real = Path(path).resolve()
        trees = [own, Path(change.nginx.prefix).resolve(), Path(path).parent.resolve()]
        if not any(tree in real.parents for tree in trees):
            raise WriteError(
                f"{path}: the link leads to {real}, out of {own}; what others keep there is not edited through a link: "
                "change it there, or put the file itself in place of the link"
            )


def validated(change: Change) -> Verdict:
    """What nginx says of the change before it is made; ChangeError where it cannot or must not be."""
    _require_inside(change)
    require_writable([Edit(path=path, old=change.old[path], new=new) for path, new in change.new.items()])
    verdict = validate_with(change.nginx, change.new)
    if verdict.ran and not verdict.ok and not validate_live(change.nginx).ok:
        raise ConfigError(
            f"{change.nginx.id}: nginx -t refused {change.nginx.config} before this change already, and the change "
            f"does not mend that; nothing was written. It says: {verdict.output}"
        )
    if verdict.ran:
        _require(change, verdict)
    return verdict


def require_valid_in_place(change: Change, before: Verdict) -> None:
    """Where nginx could not be asked before the files were in place, it is now."""
    if not before.ran:
        _require(change, validate_live(change.nginx))


def _require(change: Change, verdict: Verdict) -> None:
    if not verdict.ok:
        raise ConfigError(
            f"{change.nginx.id}: nginx does not accept {change.nginx.config} with "
            f"{', '.join(sorted(change.new))} changed; nothing was kept. nginx -t says: {verdict.output}"
        )


def _answers(changes: Sequence[Change]) -> dict[str, Answer]:
    return {
        route: ask(question)
        for change in changes
        if change.nginx.pid is not None
        for route, question in change.questions.items()
    }


def _verified(changes: Sequence[Change], before: Mapping[str, Answer]) -> tuple[Verification, ...]:
    after = _answers(changes)
    if any(_worse(before[route], answer) for route, answer in after.items()):
        time.sleep(_PAUSE)  # one bad moment is no verdict
        after = _answers(changes)
    worse = [route for route, answer in after.items() if _worse(before[route], answer)]
    if worse:
        told = "; ".join(f"{route}: {_told(before[route])}, then {_told(after[route])}" for route in worse)
        raise WorseError(f"a route that answered did not any more, everything was put back. {told}", worse=worse)
    return tuple(Verification(route=route, before=before[route], after=answer) for route, answer in after.items())


def _worse(before: Answer, after: Answer) -> bool:
    return before.good and not after.good


def _told(answer: Answer) -> str:
    return answer.detail if answer.status is None else str(answer.status)


def _outcome(hows: Sequence[Verdict], *, otherwise: str, reloaded: bool, verified: tuple[Verification, ...]) -> Outcome:
    why = "; ".join(how.output for how in hows if not how.ran)
    return Outcome(validated=otherwise if why else "namespace", why=why, reloaded=reloaded, verified=verified)
