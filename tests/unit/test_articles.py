# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""docs/articles.md names only what exists: faults, scenarios, pages, roles."""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from faults._catalogue import FAULTS  # noqa: E402 - found by the path above

PAGE = (ROOT / "docs" / "articles.md").read_text(encoding="utf-8")
ROWS = [line.split(" | ") for line in PAGE.splitlines() if re.match(r"\| [YCDFP]\d ", line)]
IDS = {f"{letter}{number}" for letter, last in zip("YCDFP", (7, 9, 7, 5, 5)) for number in range(1, last + 1)}


def named(kind: str) -> set[str]:
    """What the last column names after that word."""
    cells = " ; ".join(row[-1].rstrip(" |") for row in ROWS)
    parts = re.findall(rf"\b{kind} ((?:[a-z][a-z0-9_]+ ?)+)", re.sub(r"[;,`]", " ; ", cells))
    return {word for part in parts for word in part.split()} - {"scenario", "fault"}


def test_every_row_is_there_once() -> None:
    assert sorted(row[0].strip("| ") for row in ROWS) == sorted(IDS)


def test_faults_exist() -> None:
    assert named("fault") <= {fault.id for fault in FAULTS}
    assert len(named("fault")) > 40


def test_scenarios_exist() -> None:
    assert named("scenario") <= {path.parent.name for path in ROOT.glob("molecule/*/molecule.yml")}


def test_links_lead_somewhere() -> None:
    links = re.findall(r"\]\(([^)]+)\)", PAGE)
    assert [link for link in links if not (ROOT / "docs" / link).exists()] == []
