# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs every quality gate and ends with a line that counts what passed, failed and was not run."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
REPORTS = ROOT / ".work" / "gates"

#: Each lane runs its gates one after the other, and both run side by side: who waits for hosts leaves a machine time.
#: Which has done its own takes scenarios that the other has not begun.
LANES = {
    "scenarios": ("molecule",),
    "others": ("lint", "sanity", "unit", "unit_host", "faults", "molecule"),
}
NEED_HOSTS = ("molecule", "faults")

#: As many lines of a failed gate are repeated at the very end, where they are found.
LAST_WORDS = 12

#: Why a gate may not run here, for the closing lines.
REMEDIES = {
    "molecule": "needs systemd containers: see `python3 tests/lab doctor`",
    "faults": "needs systemd containers: see `python3 tests/lab doctor`",
    "unit_host": "needs Python 3.8, the oldest that managed hosts may have",
}


def main() -> int:
    """Run the gates; 0 when all passed that can run here (with REQUIRE_LAB=1: when all passed)."""
    shutil.rmtree(REPORTS, ignore_errors=True)
    REPORTS.mkdir(parents=True)
    # What hosts need is installed before there are two that would install it. What cannot be, each gate says itself.
    subprocess.run(
        [sys.executable, "tests/lab", "doctor", "--install"], cwd=ROOT, stdout=subprocess.DEVNULL, check=False
    )
    outputs = _run_lanes()
    reports = [json.loads((REPORTS / f"{lane}.json").read_text(encoding="utf-8")) for lane in LANES]
    return _close(_together([gate for report in reports for gate in report["sessions"]]), outputs)


def _run_lanes() -> list[str]:
    """Run the lanes side by side and return what each printed: the first is shown as it goes, the other after it."""
    with _started("others") as others, _started("scenarios") as scenarios, ThreadPoolExecutor() as pool:
        kept = pool.submit(_output, others)
        texts = [_output(scenarios, show=True), kept.result()]
    print(texts[-1])
    return texts


def _started(lane: str) -> subprocess.Popen[str]:
    command = [str(ROOT / ".venv/bin/nox"), "--non-interactive", "--report", str(REPORTS / f"{lane}.json")]
    return subprocess.Popen(
        [*command, "--sessions", *LANES[lane]],
        cwd=ROOT,
        env={**os.environ, "CLAIMED_SCENARIOS": str(REPORTS / "claimed")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
    )


def _output(process: subprocess.Popen[str], *, show: bool = False) -> str:
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if show:
            print(line, end="", flush=True)
    return "".join(lines)


def _together(gates: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """The result of each gate; of one that both lanes worked at the worse."""
    results: dict[str, str] = {}
    for gate in gates:
        results[gate["name"]] = max(results.get(gate["name"], "success"), gate["result"], key=_badness)
    return results


def _badness(result: str) -> int:
    return {"success": 0, "skipped": 1}.get(result, 2)


def _last_words(output: str, gate: str) -> list[str]:
    """The last lines that a failed gate printed; none where it did not fail in this output."""
    pattern = rf"^nox > Running session {gate}$(.*?^nox > Session {gate} (?:failed|aborted).*?)$"
    found = re.search(pattern, output, re.DOTALL | re.MULTILINE)
    return found[1].strip().splitlines()[-LAST_WORDS:] if found else []


def _close(results: dict[str, str], outputs: Sequence[str]) -> int:
    passed = [name for name, result in results.items() if result == "success"]
    skipped = [name for name, result in results.items() if result == "skipped"]
    failed = [name for name in results if name not in passed + skipped]
    if os.environ.get("REQUIRE_LAB") == "1":
        failed += [name for name in NEED_HOSTS if name in skipped]
        skipped = [name for name in skipped if name not in NEED_HOSTS]
    for name in failed:
        print(f"FAILED   {name}")
        for line in (line for output in outputs for line in _last_words(output, name)):
            print(f"    {line}")
    for name in skipped:
        print(f"NOT RUN  {name}: {REMEDIES.get(name.split('-')[0], 'see above')}")
    print(f"{len(passed)} passed, {len(failed)} failed, {len(skipped)} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
