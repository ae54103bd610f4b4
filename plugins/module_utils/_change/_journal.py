# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The record of a transaction on disk: enough to take it back, whoever was killed at whatever moment.

    STATE/transactions/<id>/journal.json     what changes: files with sums and attributes, nginx, and how units were
                           /before/<n>       what file <n> held
                           /state.<state>    prepared, applied, committed or rolled_back; a rename changes it

A transaction is written under a name that begins with a dot and gets its own once it is whole and on the disk: one that
has a name can be relied upon. Files of a configuration can hold secrets, so nobody but the owner reads any of this.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from dataclasses import asdict, dataclass, fields
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Mapping, Sequence

from ansible_collections.sre.bad_gateway.plugins.module_utils._change._errors import JournalError
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._replace import (
    Attributes,
    attributes,
    missing_parents,
    nearest_existing,
    sync_directory,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._validate import Nginx

#: Finished runs that stay, so that they can be taken back; older ones are forgotten.
KEPT_RUNS = 50

_SCHEMA = 1
_ROOT = "/var/lib/sre.bad_gateway"
_TIME = "%Y%m%dT%H%M%S.%fZ"
_UNFINISHED = ("prepared", "applied")


@dataclass(frozen=True)
class Edit:
    """The whole new contents of one file. None: there is no such file, before or afterwards."""

    path: str
    old: bytes | None
    new: bytes | None
    wanted: Attributes | None = None  # of the new file, where they are not those of the old one
    empty: tuple[str, ...] = ()  # directories that go with the file unless they hold something else


@dataclass(frozen=True)
class UnitAction:
    """A unit whose files changed, and what made it take them up beyond systemd's reading them."""

    unit: str
    action: str = "none"  # none | restart | reload


@dataclass(frozen=True)
class UnitState:
    """How a unit was before a transaction that may start, stop, enable or disable it. None: that is not touched."""

    unit: str
    running: bool | None = None
    links: Mapping[str, str] | None = None  # what enables it: symbolic links with their targets
    workers: int | None = None  # how many a gunicorn has


@dataclass(frozen=True)
class Plan:
    """What one transaction changes, and who has to know."""

    module: str
    run_id: str  # "": a run of its own
    edits: Sequence[Edit]
    nginx: Sequence[Nginx] = ()
    units: Sequence[UnitAction] = ()
    states: Sequence[UnitState] = ()  # of units, as they are before
    takes_back: Sequence[str] = ()  # the transactions that it undoes


@dataclass(frozen=True)
class FileRecord:
    path: str  # as it was named
    real: str  # at the end of symbolic links
    before: str | None  # SHA-256; None: there was no such file
    after: str | None
    attributes: Attributes | None  # as they were before
    made: tuple[str, ...]  # directories that were made for it, outermost first
    empty: tuple[str, ...]


@dataclass(frozen=True)
class Record:
    schema: int
    id: str
    run_id: str
    module: str
    started: str
    pid: int
    files: tuple[FileRecord, ...]
    nginx: tuple[Nginx, ...] = ()
    units: tuple[UnitAction, ...] = ()
    states: tuple[UnitState, ...] = ()
    takes_back: tuple[str, ...] = ()

    @property
    def whole_run(self) -> str:
        """A run may have parts, which are named RUN/PART."""
        return self.run_id.partition("/")[0]


@dataclass(frozen=True)
class Journal:
    """One transaction as it lies on the disk."""

    directory: Path
    record: Record

    @property
    def state(self) -> str:
        return _state(self.directory)

    def mark(self, state: str) -> None:
        """Changing a name needs no space: it works on a full disk too."""
        try:
            next(self.directory.glob("state.*")).rename(self.directory / f"state.{state}")
            sync_directory(self.directory)
        except OSError as error:
            raise JournalError(f"{self.directory}: {error.strerror}; it cannot be recorded as {state}") from error

    def before(self, number: int) -> bytes | None:
        if self.record.files[number].before is None:
            return None
        return (self.directory / "before" / str(number)).read_bytes()

    def temporary(self, number: int) -> Path:
        # It begins with a dot: no `include directory/*` of nginx's takes it up, and systemd wants .conf at the end.
        return Path(self.record.files[number].real).parent / f".sre.bad_gateway.{self.record.id}.{number}"

    def __str__(self) -> str:
        return f"{self.record.module} of {self.record.started} (run {self.record.run_id})"


def state_directory() -> Path:
    """Root's is the host's own; a plain user keeps what a plain user could change."""
    if os.geteuid() == 0:
        return Path(_ROOT)
    home = os.environ.get("XDG_STATE_HOME", "")
    if home.startswith("/"):
        return Path(home, "sre.bad_gateway")
    try:
        return Path.home() / ".local" / "state" / "sre.bad_gateway"
    except (KeyError, RuntimeError) as error:
        raise JournalError("this user has no home directory to record changes in; set XDG_STATE_HOME") from error


def others_record() -> Path | None:
    """Root's records, where they are not for this user to read."""
    root = Path(_ROOT)
    return root if state_directory() != root and root.exists() else None


def make_state_directory() -> Path:
    directory = state_directory()
    try:
        for one in [*missing_parents(directory / "transactions"), directory / "transactions"]:
            one.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise _unusable(error, directory) from error
    return directory


def require_recordable() -> None:
    """JournalError where a change could not be put on record, found out without making anything."""
    place = nearest_existing(state_directory() / "transactions")
    if not os.access(str(place), os.W_OK | os.X_OK):
        code = errno.EROFS if os.statvfs(str(place)).f_flag & os.ST_RDONLY else errno.EACCES
        raise _unusable(OSError(code, os.strerror(code), str(place)), place)


def checksum(content: bytes | None) -> str | None:
    return None if content is None else hashlib.sha256(content).hexdigest()


def prepare(plan: Plan) -> Journal:
    """Put the plan on the disk, for good, before anything that it names is touched."""
    transactions = make_state_directory() / "transactions"
    record = _record(plan, _next_id())
    new, directory = transactions / f".new-{record.id}", transactions / record.id
    try:
        for one in (new, new / "before"):
            one.mkdir(mode=0o700)
        for number, edit in enumerate(plan.edits):
            if edit.old is not None:
                _write(new / "before" / str(number), edit.old)
        _write(new / "journal.json", json.dumps(asdict(record), indent=1).encode())
        _write(new / "state.prepared", b"")
        for one in (new / "before", new):
            sync_directory(one)
        new.rename(directory)
        sync_directory(transactions)
    except OSError as error:
        shutil.rmtree(new, ignore_errors=True)
        raise _unusable(error, transactions) from error
    return Journal(directory=directory, record=record)


def finished() -> list[Journal]:
    """Transactions that came to an end, good or bad, oldest first."""
    return [Journal(directory=path, record=_load(path)) for path in _directories() if _is_finished(path)]


def unfinished() -> list[Journal]:
    """Transactions whose process ended before them, oldest first."""
    return [Journal(directory=path, record=_load(path)) for path in _directories() if not _is_finished(path)]


def sweep() -> None:
    """Remove what was never begun, and finished runs beyond those that are kept."""
    found = finished()
    runs = list(dict.fromkeys(one.record.whole_run for one in reversed(found)))
    for one in found:
        if one.record.whole_run in runs[KEPT_RUNS:]:
            one.directory.rename(one.directory.parent / f".old-{one.record.id}")
    for directory in (state_directory() / "transactions").glob(".*"):
        shutil.rmtree(directory)


def _directories() -> list[Path]:
    try:
        return sorted(path for path in (state_directory() / "transactions").iterdir() if path.name[0] != ".")
    except FileNotFoundError:
        return []
    except OSError as error:
        raise _unusable(error, state_directory()) from error


def _state(directory: Path) -> str:
    return next((path.suffix[1:] for path in directory.glob("state.*")), "unknown")


def _is_finished(directory: Path) -> bool:
    return _state(directory) not in _UNFINISHED


def _next_id() -> str:
    """Names sort by time, even if the clock was set back."""
    now = datetime.now(timezone.utc)
    newest = max((path.name for path in _directories()), default="")
    if newest >= now.strftime(_TIME):
        now = datetime.strptime(newest, _TIME).replace(tzinfo=timezone.utc) + timedelta(microseconds=1)
    return now.strftime(_TIME)


def _record(plan: Plan, id: str) -> Record:
    return Record(
        schema=_SCHEMA,
        id=id,
        run_id=plan.run_id or id,
        module=plan.module,
        started=datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        pid=os.getpid(),
        files=tuple(_file_record(edit) for edit in plan.edits),
        nginx=tuple(plan.nginx),
        units=tuple(plan.units),
        states=tuple(plan.states),
        takes_back=tuple(plan.takes_back),
    )


def _file_record(edit: Edit) -> FileRecord:
    real = Path(os.path.realpath(edit.path))
    return FileRecord(
        path=edit.path,
        real=str(real),
        before=checksum(edit.old),
        after=checksum(edit.new),
        attributes=attributes(real),
        made=tuple(str(parent) for parent in missing_parents(real)) if edit.new is not None else (),
        empty=edit.empty,
    )


def _write(path: Path, content: bytes) -> None:
    handle = os.open(str(path), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _load(directory: Path) -> Record:
    try:
        data = json.loads((directory / "journal.json").read_bytes())
        if data["schema"] != _SCHEMA:
            raise ValueError(f"schema {data['schema']}, expected {_SCHEMA}")
        data["files"] = tuple(_loaded_file(one) for one in data["files"])
        data["nginx"] = tuple(_known(Nginx, one) for one in data["nginx"])
        data["units"] = tuple(_known(UnitAction, one) for one in data["units"])
        data["states"] = tuple(_known(UnitState, one) for one in data["states"])
        data["takes_back"] = tuple(data["takes_back"])
        record: Record = _known(Record, data)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise JournalError(
            f"{directory}: this record of a change cannot be read ({error}); see that the files are as they should be, "
            "then move it away"
        ) from error
    return record


def _loaded_file(data: dict[str, Any]) -> FileRecord:
    had = data["attributes"]
    lists = {name: tuple(data[name]) for name in ("made", "empty")}
    record: FileRecord = _known(FileRecord, {**data, **lists, "attributes": had and _known(Attributes, had)})
    return record


def _known(kind: Any, data: dict[str, Any]) -> Any:
    """What a later version added is left out."""
    return kind(**{one.name: data[one.name] for one in fields(kind) if one.name in data})


def _unusable(error: OSError, directory: Path) -> JournalError:
    return JournalError(
        f"{error.filename or directory}: {error.strerror}; what would be needed to take a change back cannot be kept "
        "there, so nothing was changed"
    )
