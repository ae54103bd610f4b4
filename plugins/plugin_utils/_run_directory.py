# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One run on the controller's disk: what each host showed, and the reports made of it.

    DIRECTORY/observations/<host>.json    one record a host, also for hosts that could not be looked at
    DIRECTORY/report.json, report.md
    DIRECTORY/before/...                  the same, as it was before a remediation changed anything

Files are replaced whole, so a reader never meets half a record. Observations may hold what only operators should
see: the directory and its files are readable by their owner alone.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Iterable, Mapping
from urllib.parse import quote

from ansible_collections.sre.bad_gateway.plugins.module_utils import _observation
from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import Observation

STATUSES = ("ok", "unreachable", "failed")

_NOT_HEARD_OF = "left no observation: it failed before it was looked at; what the run printed for it says why"


class RunDirectoryError(RuntimeError):
    """A run directory that cannot be read or written; the message names the file and the remedy."""


@dataclass(frozen=True)
class HostRecord:
    """What became of looking at one host."""

    host: str
    status: str  # ok | unreachable | failed
    reason: str = ""  # why it could not be looked at
    observation: Observation | None = None
    recorded_at: str = ""  # UTC, ISO 8601, of the controller's clock


def now() -> str:
    """The controller's time as records hold it."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def run_id(records: Mapping[str, HostRecord]) -> str:
    """Name the run that gathered these records: the time it began and a hash, the same whenever it is read again."""
    seen = sorted((record.recorded_at, record.host) for record in records.values())
    digest = hashlib.sha256(json.dumps(seen).encode()).hexdigest()[:8]
    return f"{re.sub('[^0-9TZ]', '', started(records).split('.')[0])}Z-{digest}"


def started(records: Mapping[str, HostRecord]) -> str:
    """When the run began."""
    return min(record.recorded_at for record in records.values())


def write_record(directory: Path, record: HostRecord) -> Path:
    """Write the record of one host, in place of an earlier one, and return its path."""
    return _write(_record_path(directory, record.host), _as_json(asdict(record)))


def read_records(directory: Path) -> dict[str, HostRecord]:
    """Return all records of a run, by host name."""
    paths = sorted((directory / "observations").glob("*.json"))
    if not paths:
        raise RunDirectoryError(
            f"{directory}: no observations there (expected {directory}/observations/<host>.json); "
            "name a directory that an audit wrote"
        )
    records = (_read_record(path) for path in paths)
    return {record.host: record for record in records}


def begin(directory: Path) -> None:
    """Make the directory ready for a new run: what an earlier one saw is no part of it."""
    observations = directory / "observations"
    try:
        _make(observations)
        for path in observations.glob("*.json"):
            path.unlink()
        tempfile.TemporaryFile(dir=observations).close()  # says once, and now, what each host would say later
    except OSError as error:
        raise _unwritable(directory, error) from error


def account_for(directory: Path, hosts: Iterable[str]) -> None:
    """Give every host of the run that left no record one that says so: no report forgets a host."""
    for host in hosts:
        if not _record_path(directory, host).exists():
            write_record(directory, HostRecord(host=host, status="failed", reason=_NOT_HEARD_OF, recorded_at=now()))


def set_aside(directory: Path) -> None:
    """Move the run's records and reports to `directory`/before, in place of what an earlier run left there."""
    drop_before(directory)
    before = directory / "before"
    before.mkdir(mode=0o700)
    for path in (*directory.glob("report.*"), directory / "observations"):
        path.rename(before / path.name)


def drop_before(directory: Path) -> None:
    """Remove what an earlier remediation set aside: it is not the state before this run."""
    shutil.rmtree(directory / "before", ignore_errors=True)


def read_outcomes(directory: Path) -> dict[str, Any]:
    """What the report that lies there tells of each host's remediation; nothing where there is no report to read."""
    try:
        return dict(json.loads((directory / "report.json").read_text(encoding="utf-8"))["hosts"])
    except (OSError, ValueError, TypeError, KeyError):
        return {}


def write_report(directory: Path, *, name: str, text: str) -> Path:
    """Write one of the reports of a run and return its path."""
    return _write(directory / name, text)


def _record_path(directory: Path, host: str) -> Path:
    # A host name of an inventory may hold any character; quoted, it cannot leave the directory.
    return directory / "observations" / (quote(host, safe="@:+,=[] ").replace("..", "%2E%2E") + ".json")


def _as_json(data: dict[str, Any]) -> str:
    return json.dumps(data, indent=1, sort_keys=True, ensure_ascii=True) + "\n"


def _read_record(path: Path) -> HostRecord:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        record = HostRecord(**data)
    except (OSError, ValueError, TypeError) as error:
        raise RunDirectoryError(f"{path}: not a record of a host ({error}); remove it or audit again") from error
    if record.status not in STATUSES:
        raise RunDirectoryError(f"{path}: status {record.status!r} is none of {', '.join(STATUSES)}; audit again")
    if record.status == "ok":
        _observation.checked(record.observation, source=str(path))
    return record


def _write(path: Path, text: str) -> Path:
    try:
        _make(path.parent)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".writing-")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise _unwritable(path, error) from error
    return path


def _make(directory: Path) -> None:
    """Make the directory and what is missing above it, for its owner alone."""
    for each in (*reversed(directory.parents), directory):
        if not each.exists():
            each.mkdir(mode=0o700, exist_ok=True)  # several hosts write at once


def _unwritable(path: Path, error: OSError) -> RunDirectoryError:
    return RunDirectoryError(
        f"{path}: cannot be written ({error.strerror}); choose another directory with bad_gateway_output_dir"
    )
