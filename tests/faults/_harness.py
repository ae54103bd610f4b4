# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Brings the hosts of many faults up side by side, breaks them, drives requests, and looks at all of them at once."""

from __future__ import annotations

import http.client
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._diagnose import diagnose
from ansible_collections.sre.bad_gateway.plugins.plugin_utils._run_directory import HostRecord, read_records
from lab import Entry, Fleet, HostSpec, LabError

from ._judge import Verdict, judge
from ._model import Ask, Fault, Host, Run, Step, listens

ROOT = Path(__file__).resolve().parents[2]
OUTPUT = ROOT / ".work" / "faults"
#: While the hosts of one batch are broken, which is mostly waiting, those of the next boot or are looked at.
BATCH_HOSTS = 12
BATCHES_AT_ONCE = 2
FORKS = 8
GAVE_UP, NO_STATUS_LINE = 0, 9


class HarnessError(Exception):
    """The harness itself cannot go on; that says nothing about any fault."""


@dataclass(frozen=True)
class Played:
    """What came of breaking and driving one fault."""

    troubles: tuple[str, ...]
    seconds: float


def run_all(faults: Sequence[Fault], *, fleet: str) -> Iterator[Verdict]:
    """Run the faults, batch by batch; each verdict as soon as there is one."""
    shutil.rmtree(OUTPUT / fleet, ignore_errors=True)
    batches = list(batched([fault for fault in faults if fault.origin == "lab"], hosts=BATCH_HOSTS))
    _say(f"{sum(map(len, batches))} entries in {len(batches)} batches")
    with ThreadPoolExecutor(max_workers=BATCHES_AT_ONCE) as pool:
        pending = [
            pool.submit(_try_batch, batch, fleet=f"{fleet}{number}", output=OUTPUT / fleet / str(number))
            for number, batch in enumerate(batches, 1)
        ]
        try:
            for done in pending:
                yield from done.result()
        finally:  # whatever ends the run: what has begun takes its hosts down, nothing new begins
            for waiting in pending:
                waiting.cancel()
    yield from (_written(fault) for fault in faults if fault.origin == "written")


def again(faults: Sequence[Fault], *, fleet: str) -> Iterator[Verdict]:
    """Diagnose what the last run of that name saw again. Statuses and steps are not judged: nothing was driven."""
    records: dict[str, HostRecord] = {}
    for directory in sorted({path.parents[1] for path in (OUTPUT / fleet).glob("*/observations/*.json")}):
        records.update(read_records(directory))
    for fault in faults:
        if fault.origin == "written":
            yield _written(fault)
        elif all(fault.fleet_name(name) in records for name in fault.hosts):
            yield _diagnosed(fault, records, Played((), 0.0))


def batched(faults: Sequence[Fault], *, hosts: int) -> Iterator[list[Fault]]:
    """The faults in their order, so many together that their hosts are at most so many (or one fault's own)."""
    batch: list[Fault] = []
    for fault in faults:
        if batch and sum(len(each.hosts) for each in [*batch, fault]) > hosts:
            yield batch
            batch = []
        batch.append(fault)
    if batch:
        yield batch


def spec_of(fault: Fault, name: str, described: Host) -> HostSpec:
    """The lab's description of a fault's host."""
    return HostSpec(
        fault.fleet_name(name),
        roles=described.roles,
        image=described.image,
        files=tuple(
            Entry(path.lstrip("/"), 0o644, fault.fill(content).encode()) for path, content in described.files.items()
        ),
        enabled=described.enabled,
        memory=described.memory,
    )


def _try_batch(batch: Sequence[Fault], *, fleet: str, output: Path) -> list[Verdict]:
    """Run a batch. One that does not come up says nothing about the others."""
    try:
        return _run_batch(batch, fleet=fleet, output=output)
    except (LabError, HarnessError, subprocess.TimeoutExpired) as error:
        _say(f"{fleet}: failed")
        return [judge(fault, [], troubles=[f"its batch failed: {error}"[:500]]) for fault in batch]


def _run_batch(batch: Sequence[Fault], *, fleet: str, output: Path) -> list[Verdict]:
    specs = [spec_of(fault, name, each) for fault in batch for name, each in fault.hosts.items()]
    with Fleet(fleet, specs) as up:
        _say(f"{fleet}: {len(specs)} hosts are up")
        with ThreadPoolExecutor(max_workers=len(batch)) as pool:
            played = list(pool.map(lambda fault: play(fault, up), batch))
        _say(f"{fleet}: broken and driven")
        _observe(up.inventory_path, output)
    _say(f"{fleet}: looked at")
    records = read_records(output)
    return [_diagnosed(fault, records, what) for fault, what in zip(batch, played)]


def play(fault: Fault, fleet: Fleet) -> Played:
    """Break the fault's hosts and drive requests. The steps of one fault come one after the other."""
    begin = time.monotonic()
    ready = [Run(listens(port), host=name) for name, each in fault.hosts.items() for port in each.ports]
    troubles = [trouble for step in ready if (trouble := _take(step, fault, fleet))]
    # Logs count seconds: what is written in the second of a start may be from before it.
    time.sleep(1)
    troubles += [trouble for step in (*fault.broken, *fault.driven) if (trouble := _take(step, fault, fleet))]
    return Played(tuple(troubles), time.monotonic() - begin)


def _take(step: Step, fault: Fault, fleet: Fleet) -> str:
    host = fault.fleet_name(step.host)
    if isinstance(step, Ask):
        return step.judge(ask(step, address=fleet.address(host)))
    try:
        fleet.run(host, fault.fill(step.command))
    except LabError as error:
        return f"{step.host}: {error}"
    return ""


def ask(wanted: Ask, *, address: str) -> list[int]:
    """Make the requests and return their status codes."""
    with ThreadPoolExecutor(max_workers=wanted.at_once) as pool:
        return list(pool.map(lambda _number: _request(wanted, address), range(wanted.times)))


def _request(wanted: Ask, address: str) -> int:
    connection = http.client.HTTPConnection(address, wanted.port, timeout=wanted.patience)
    try:
        body = b"x" * wanted.body if wanted.body else None
        connection.request(wanted.method, wanted.path, body=body, headers={"Host": wanted.name})
        response = connection.getresponse()
        response.read()
    except http.client.BadStatusLine as error:
        return GAVE_UP if isinstance(error, http.client.RemoteDisconnected) else NO_STATUS_LINE
    except (OSError, http.client.HTTPException):
        return GAVE_UP
    else:
        return response.status
    finally:
        connection.close()


def _observe(inventory: Path, output: Path) -> None:
    command = [str(ROOT / ".venv/bin/ansible-playbook"), "-i", str(inventory), f"--forks={FORKS}"]
    command += [str(Path(__file__).with_name("observe.yml")), "-e", f"bad_gateway_output_dir={output}"]
    environment = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".work"), "ANSIBLE_NOCOLOR": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=600)
    if done.returncode != 0:
        raise HarnessError(f"looking at the hosts failed:\n{done.stdout[-4000:]}{done.stderr[-2000:]}")


def _diagnosed(fault: Fault, records: Mapping[str, HostRecord], played: Played) -> Verdict:
    mine = {name: records[name] for name in map(fault.fleet_name, fault.hosts)}
    unseen = [f"{name} could not be looked at: {record.reason}" for name, record in mine.items() if record.reason]
    troubles = (*played.troubles, *unseen)
    return judge(fault, findings_of(mine), troubles=troubles, seconds=played.seconds)


def _written(fault: Fault) -> Verdict:
    records = {
        fault.fleet_name(name): HostRecord(fault.fleet_name(name), "ok", observation=each)
        for name, each in fault.observations.items()
    }
    return judge(fault, findings_of(records))


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def findings_of(records: Mapping[str, HostRecord]) -> list[dict[str, Any]]:
    """The findings as a report holds them."""
    return [finding.to_json() for finding in diagnose(records).findings]
