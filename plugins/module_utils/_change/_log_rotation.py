# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Logs that never fill the disk: files of logrotate's and a limit for the journal, tested before they count."""

from __future__ import annotations

import re
import shutil
import tempfile
from dataclasses import dataclass
from glob import glob
from pathlib import Path
from typing import Any, Callable, Iterable, Mapping, Sequence

from ansible_collections.sre.bad_gateway.plugins.module_utils._change import _systemd
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._errors import ChangeError
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._journal import Edit, Plan
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._lock import turn
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._make_room import (
    compress,
    finish,
    left_over,
    worth_compressing,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._perform import perform
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._replace import Attributes, read
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._writable import require_writable
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe import _shared

HEADER = "# Managed by the Ansible collection sre.bad_gateway: changes made here by hand are overwritten.\n"
MAIN = Path("/etc/logrotate.conf")
DIRECTORY = Path("/etc/logrotate.d")
JOURNAL = Path("/etc/systemd/journald.conf.d/zz-bad-gateway.conf")

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_SIZE = re.compile(r"[1-9][0-9]*[kMG]?")
_SIGNAL = re.compile(r"[A-Z][A-Z0-9]*")
_USER_AND_GROUP = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]* [A-Za-z0-9_][A-Za-z0-9_.-]*")
_UNIT = re.compile(r"[A-Za-z0-9:_.@\\-]+\.service")
_DUPLICATE = re.compile(r"^error: [^ ]+:\d+ duplicate log entry for (?P<path>.+)$", re.MULTILINE)
_ROOT_FILE = Attributes(mode=0o644, uid=0, gid=0, xattrs={})


class LogRotationError(ChangeError):
    """The logs cannot be rotated as asked for; the message names the log and the remedy."""


@dataclass(frozen=True)
class Logs:
    """Logs that one program writes and reopens together."""

    name: str
    paths: tuple[str, ...]
    unit: str | None  # whose main process reopens its logs on `signal`; None: it never does
    signal: str
    frequency: str
    keep: int
    max_size: str
    as_user: str | None  # "user group" to rotate as, where others than root may write to the directory

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise LogRotationError(f"{self.name!r} cannot name logs: use letters, digits, '_' and '-'")
        for path in self.paths:
            if not path.startswith("/") or set(path) & set('"\\\n\r{}'):
                raise LogRotationError(f"{self.name}: {path!r} is no absolute path that logrotate could read")
        for value, pattern, what in (
            (self.max_size, _SIZE, "size, like 100M"),
            (self.signal, _SIGNAL, "signal, like USR1"),
            (self.as_user or "root adm", _USER_AND_GROUP, "user and group, like app www-data"),
            (self.unit or "a.service", _UNIT, "service's full name, like shop.service"),
        ):
            if not pattern.fullmatch(value):
                raise LogRotationError(f"{self.name}: {value!r} is no {what}")

    @property
    def path(self) -> Path:
        """Where its file lies. Read last, so that logrotate complains of ours where another rotates a log already."""
        return DIRECTORY / f"zz-bad-gateway-{self.name}"


@dataclass(frozen=True)
class Wish:
    """How logs are to be kept."""

    logs: Sequence[Logs]
    journal_max_use: str  # "": the journal is left alone
    rotate_when_used: int  # percent of a file system; 0: never
    present: bool


@dataclass(frozen=True)
class Outcome:
    edits: Sequence[Edit]
    left: Sequence[str]  # logs that another file of logrotate's rotates already
    compressed: Sequence[str]
    recovered: Sequence[str]

    @property
    def changes(self) -> list[str]:
        """For reports: what this did to the host."""
        return [
            *self.recovered,
            *(edit.path for edit in self.edits),
            *(f"{path} made room" for path in self.compressed),
        ]


def apply(wish: Wish, *, check_mode: bool, run_id: str = "") -> Outcome:
    """Keep the logs as wished, all or none; a log that others rotate already is left to them."""
    with turn(module="log_rotation", run_id=run_id, check_mode=check_mode) as recovered:
        kept, left = _not_rotated_yet(wish)
        edits = [edit for edit in _edits(wish, kept) if edit.old != edit.new]
        require_writable(edits)
        if edits and not check_mode:
            _perform(edits, run_id=run_id)
        compressed = _make_room(wish, check_mode=check_mode) if wish.present else []
    return Outcome(edits=edits, left=left, compressed=compressed, recovered=recovered)


def render(logs: Logs) -> str:
    """The file for logrotate: nothing in it varies from run to run."""
    quoted = " ".join(f'"{path}"' for path in logs.paths)
    lines = [logs.frequency, f"rotate {logs.keep}", f"maxsize {logs.max_size}"]
    lines += ["compress", "delaycompress", "missingok", "notifempty"]
    lines += [f"su {logs.as_user}"] if logs.as_user else []
    settings = "".join(f"    {line}\n" for line in [*lines, *_reopening(logs)])
    return f"{HEADER}{quoted} {{\n{settings}}}\n"


def _reopening(logs: Logs) -> list[str]:
    if logs.unit is None:
        return ["copytruncate"]
    # --kill-who: newer systemd take it as well as --kill-whom, older ones know nothing else.
    command = f"systemctl kill --kill-who=main --signal={logs.signal} -- {logs.unit} 2>/dev/null || true"
    return ["create", "sharedscripts", "postrotate", f"    {command}", "endscript"]


def _edits(wish: Wish, kept: Iterable[Logs]) -> list[Edit]:
    texts = {logs.path: render(logs) for logs in kept}
    edits = [_edit(logs.path, texts.get(logs.path) if wish.present else None) for logs in wish.logs]
    if wish.journal_max_use:
        text = f"{HEADER}[Journal]\nSystemMaxUse={wish.journal_max_use}\n" if wish.present else None
        edits.append(_edit(JOURNAL, text))
    return edits


def _edit(path: Path, text: str | None) -> Edit:
    # logrotate reads no file that others than root could write.
    new = None if text is None else text.encode()
    return Edit(path=str(path), old=read(path), new=new, wanted=_ROOT_FILE, empty=(str(JOURNAL.parent),))


def _perform(edits: Sequence[Edit], *, run_id: str) -> None:
    def take_up() -> None:
        if any(edit.path == str(JOURNAL) for edit in edits):
            _systemd.act("try-restart", "systemd-journald.service")

    perform(Plan(module="log_rotation", run_id=run_id, edits=edits), accept=lambda: None, take_up=take_up)


def _not_rotated_yet(wish: Wish) -> tuple[list[Logs], list[str]]:
    """Take out what other files of logrotate's cover, and let it judge the rest. It tells one duplicate at a time."""
    logs = list(wish.logs)
    left: list[str] = []
    if not wish.present:
        return logs, left
    before = _complaints([], without=wish.logs)
    while True:
        answer = _complaints(logs, without=wish.logs)
        found = {path for line in answer for path in _DUPLICATE.findall(line)}
        covered = [(index, path) for index, each in enumerate(logs) for path in _covering(each, found)]
        if not covered:
            _require_no_more(answer, before)
            return [each for each in logs if each.paths], left
        index, path = covered[0]
        left.append(path)
        remaining = tuple(one for one in logs[index].paths if one != path)
        logs[index] = Logs(**{**logs[index].__dict__, "paths": remaining})


def _matching(pattern: str) -> list[str]:
    return sorted(glob(pattern))  # noqa: PTH207 - as logrotate expands it, from the root


def _covering(logs: Logs, files: Iterable[str]) -> list[str]:
    """The paths of these logs that stand for any of the files."""
    return [path for path in logs.paths if any(file == path or file in _matching(path) for file in files)]


def _require_no_more(answer: Sequence[str], before: Sequence[str]) -> None:
    new = [line for line in answer if line not in before]
    if new:
        raise LogRotationError(f"logrotate does not accept it, nothing was changed: {'; '.join(new)}")


def _complaints(logs: Sequence[Logs], *, without: Sequence[Logs]) -> list[str]:
    """What `logrotate -d` says of the host's whole configuration with these logs, and without ours of before."""
    with tempfile.TemporaryDirectory(prefix="bad-gateway-") as scratch:
        directory = Path(scratch, "logrotate.d")
        directory.mkdir(mode=0o755)
        for path in sorted(DIRECTORY.glob("*")):
            if path.is_file() and path not in [each.path for each in without]:
                shutil.copyfile(path, directory / path.name)
        for each in (each for each in logs if each.paths):
            (directory / each.path.name).write_text(render(each), encoding="utf-8")
        main = Path(scratch, "logrotate.conf")
        main.write_text(_main_with(directory), encoding="utf-8")
        return [line for line in _dry_run(main).splitlines() if line.startswith("error:")]


def _main_with(directory: Path) -> str:
    text = MAIN.read_text(encoding="utf-8", errors="surrogateescape") if MAIN.exists() else f"include {DIRECTORY}\n"
    return re.sub(rf"(?m)^(\s*include\s+){re.escape(str(DIRECTORY))}/?\s*$", rf"\g<1>{directory}", text)


def _dry_run(main: Path) -> str:
    answer = _shared.run(["logrotate", "--debug", "--state", str(main.parent / "state"), str(main)], seconds=30)
    if answer.status is None:
        raise LogRotationError(f"{answer.why}; install logrotate on this host first, its package has that name")
    return answer.stdout + answer.stderr


def _make_room(wish: Wish, *, check_mode: bool) -> list[str]:
    """Compress at once what lies on a file system that is nearly full, and what an earlier run left half-done."""
    made: list[str] = []
    for logs in wish.logs if wish.rotate_when_used else ():
        for path in (Path(file) for pattern in logs.paths for file in _matching(pattern)):
            unfinished = left_over(path)
            large = worth_compressing(path, wish.rotate_when_used)
            if check_mode:
                made += [str(one) for one in (*unfinished, *([path] if large else []))]
            else:
                made += [str(finish(one)) for one in unfinished]
                made += [str(compress(path, reopen=_reopen(logs)))] if large else []
    return made


def _reopen(logs: Logs) -> Callable[[], None] | None:
    unit = logs.unit
    if unit is None:
        return None

    def send() -> None:
        if _systemd.properties(unit, "MainPID")["MainPID"] != "0":
            _systemd.signal(unit, logs.signal)

    return send


def differences(outcome: Outcome) -> list[Mapping[str, Any]]:
    """Ansible's diff of every file."""
    return [
        {
            "before_header": edit.path,
            "after_header": edit.path,
            "before": (edit.old or b"").decode("utf-8", "backslashreplace"),
            "after": (edit.new or b"").decode("utf-8", "backslashreplace"),
        }
        for edit in outcome.edits
    ]
