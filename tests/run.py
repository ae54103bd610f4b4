# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs every quality gate and ends with a line that counts what passed, failed and was not run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
REPORT = ROOT / ".work" / "gates.json"

#: Why a gate may not run here, for the closing lines.
REMEDIES = {
    "molecule": "needs systemd containers: see `python3 tests/lab doctor`",
    "faults": "needs systemd containers: see `python3 tests/lab doctor`",
    "unit_host": "needs Python 3.8, the oldest that managed hosts may have",
}


def main() -> int:
    """Run the gates; 0 when all passed that can run here (with REQUIRE_LAB=1: when all passed)."""
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.unlink(missing_ok=True)
    command = [str(ROOT / ".venv/bin/nox"), "--non-interactive", "--report", str(REPORT)]
    subprocess.run(command, cwd=ROOT, check=False)
    results = {gate["name"]: gate["result"] for gate in json.loads(REPORT.read_text(encoding="utf-8"))["sessions"]}
    return _close(results)


def _close(results: dict[str, str]) -> int:
    passed = [name for name, result in results.items() if result == "success"]
    skipped = [name for name, result in results.items() if result == "skipped"]
    failed = [name for name in results if name not in passed + skipped]
    if os.environ.get("REQUIRE_LAB") == "1" and "molecule" in skipped:
        skipped.remove("molecule")
        failed.append("molecule")
    for name in failed:
        print(f"FAILED   {name}")
    for name in skipped:
        print(f"NOT RUN  {name}: {REMEDIES.get(name.split('-')[0], 'see above')}")
    print(f"{len(passed)} passed, {len(failed)} failed, {len(skipped)} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
