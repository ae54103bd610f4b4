# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs every quality gate and ends with a line that counts what passed, failed and was not run."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
REPORTS = ROOT / ".work" / "gates"

#: Each lane runs its gates one after the other, and both run side by side: who waits for hosts leaves a machine time.
#: Which has done its own takes scenarios that the other has not begun.
LANES = {
    "scenarios": ("molecule",),
    "others": ("lint", "sanity", "unit", "unit_host", "faults", "molecule"),
}
NEED_HOSTS = ("molecule", "faults")

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
    others = REPORTS / "others.txt"
    with others.open("wb") as output, _started("others", stdout=output, stderr=output), _started("scenarios"):
        pass
    print(others.read_text(encoding="utf-8", errors="replace"))
    reports = [json.loads((REPORTS / f"{lane}.json").read_text(encoding="utf-8")) for lane in LANES]
    return _close(_together([gate for report in reports for gate in report["sessions"]]))


def _started(lane: str, **options: Any) -> subprocess.Popen[bytes]:
    command = [str(ROOT / ".venv/bin/nox"), "--non-interactive", "--report", str(REPORTS / f"{lane}.json")]
    environment = {**os.environ, "CLAIMED_SCENARIOS": str(REPORTS / "claimed")}
    return subprocess.Popen([*command, "--sessions", *LANES[lane]], cwd=ROOT, env=environment, **options)


def _together(gates: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """The result of each gate; of one that both lanes worked at the worse."""
    results: dict[str, str] = {}
    for gate in gates:
        results[gate["name"]] = max(results.get(gate["name"], "success"), gate["result"], key=_badness)
    return results


def _badness(result: str) -> int:
    return {"success": 0, "skipped": 1}.get(result, 2)


def _close(results: dict[str, str]) -> int:
    passed = [name for name, result in results.items() if result == "success"]
    skipped = [name for name, result in results.items() if result == "skipped"]
    failed = [name for name in results if name not in passed + skipped]
    if os.environ.get("REQUIRE_LAB") == "1":
        failed += [name for name in NEED_HOSTS if name in skipped]
        skipped = [name for name in skipped if name not in NEED_HOSTS]
    for name in failed:
        print(f"FAILED   {name}")
    for name in skipped:
        print(f"NOT RUN  {name}: {REMEDIES.get(name.split('-')[0], 'see above')}")
    print(f"{len(passed)} passed, {len(failed)} failed, {len(skipped)} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
