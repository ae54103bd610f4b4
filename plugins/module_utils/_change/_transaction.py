# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One all-or-nothing change of nginx's files: test, write, reload, look, and take back what made it worse."""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Iterator, Mapping, Sequence

from ansible_collections.sre.bad_gateway.plugins.module_utils._change._errors import (
    ChangeError,
    ConfigError,
    InterferenceError,
    WorseError,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._reload import reload
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._replace import replace
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._validate import (
    Nginx,
    Verdict,
    validate_live,
    validate_with,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._verify import Answer, Question, ask

_LOCK_PATIENCE = 30.0  # seconds to wait for another change on this host
_PAUSE = 0.5


@dataclass(frozen=True)
class Change:
    """What one nginx gets: whole new contents of files, and the questions that tell whether it still works."""

    nginx: Nginx
    old: Mapping[str, bytes]  # as read
    new: Mapping[str, bytes]
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


@contextmanager
def locked(prefix: str) -> Iterator[None]:
    """Only one change at a time on a host; a plain user has a lock of its own beside the files it can change."""
    path = Path("/run/sre.bad_gateway.lock") if os.geteuid() == 0 else Path(prefix) / ".sre.bad_gateway.lock"
    try:
        handle = os.open(str(path), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise InterferenceError(f"{path}: the lock cannot be had: {error.strerror}") from error
    try:
        _wait_for(handle, path)
        yield
    finally:
        os.close(handle)


def check(changes: Sequence[Change]) -> Outcome:
    """What `apply` would do, without touching a live file."""
    hows = [_validated(change) for change in changes]
    return _outcome(hows, otherwise="no", reloaded=False, verified=())


def apply(changes: Sequence[Change]) -> Outcome:
    """Make all changes, or none: ChangeError then says why, and every file is as it was."""
    hows = [_validated(change) for change in changes]
    before = _answers(changes)
    files, reloads = ExitStack(), ExitStack()  # what takes each step back
    try:
        for change in changes:
            for path, content in change.new.items():
                replace(path, old=change.old[path], new=content)
                files.callback(replace, path, old=content, new=change.old[path])
        for change, how in zip(changes, hows):
            if not how.ran:
                _require(change, validate_live(change.nginx))
        reloaded = False
        for change in changes:
            reloads.callback(reload, change.nginx)
            reloaded = reload(change.nginx) or reloaded
        verified = _verified(changes, before)
    except BaseException as error:
        _take_back(files, reloads, error)
        raise
    return _outcome(hows, otherwise="in place", reloaded=reloaded, verified=verified)


def _take_back(files: ExitStack, reloads: ExitStack, error: BaseException) -> None:
    try:
        with reloads:  # every file first, then those nginx that had taken up the new ones
            files.close()
    except ChangeError as failure:
        raise ChangeError(f"{error} But not all could be put back: {failure}") from error


def _wait_for(handle: int, path: Path) -> None:
    end = time.monotonic() + _LOCK_PATIENCE
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if time.monotonic() > end:
                raise InterferenceError(f"{path}: another change is being made on this host; run again") from error
            time.sleep(_PAUSE)
        else:
            return


def _validated(change: Change) -> Verdict:
    verdict = validate_with(change.nginx, change.new)
    if verdict.ran and not verdict.ok and not validate_live(change.nginx).ok:
        raise ConfigError(
            f"{change.nginx.id}: nginx -t refused {change.nginx.config} before this change already, and the change "
            f"does not mend that; nothing was written. It says: {verdict.output}"
        )
    if verdict.ran:
        _require(change, verdict)
    return verdict


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
        raise WorseError(f"a route that answered did not any more, everything was put back. {told}")
    return tuple(Verification(route=route, before=before[route], after=answer) for route, answer in after.items())


def _worse(before: Answer, after: Answer) -> bool:
    return before.good and not after.good


def _told(answer: Answer) -> str:
    return answer.detail if answer.status is None else str(answer.status)


def _outcome(hows: Sequence[Verdict], *, otherwise: str, reloaded: bool, verified: tuple[Verification, ...]) -> Outcome:
    why = "; ".join(how.output for how in hows if not how.ran)
    return Outcome(validated=otherwise if why else "namespace", why=why, reloaded=reloaded, verified=verified)
