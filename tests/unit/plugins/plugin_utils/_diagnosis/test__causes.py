# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The catalogue has a page for every cause, and no page without one."""

from __future__ import annotations

import re
from pathlib import Path

from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis import _causes

DOCS = Path(_causes.__file__).parents[3] / "docs" / "causes"


def test_each_cause_has_its_page() -> None:
    assert {page.stem for page in DOCS.glob("*.md")} == set(_causes.TITLES)


def test_each_page_says_what_whoever_is_on_call_asks() -> None:
    asked = ["## What it looks like", "## Why", "## How it is known", "## The fix", "## The trap"]
    for page in DOCS.glob("*.md"):
        lines = page.read_text(encoding="utf-8").splitlines()
        assert lines[0] == f"# {page.stem}: {_causes.TITLES[page.stem]}"
        assert [line for line in lines if line.startswith("## ")] == asked, page.name


def test_the_pages_are_where_the_project_lives() -> None:
    galaxy = (DOCS.parents[1] / "galaxy.yml").read_text(encoding="utf-8")
    (repository,) = re.findall(r"^repository: (\S+)$", galaxy, re.MULTILINE)
    assert _causes.page("disk_full") == f"{repository}/blob/main/docs/causes/disk_full.md"


def test_the_readme_leads_to_each_page() -> None:
    readme = (DOCS.parents[1] / "README.md").read_text(encoding="utf-8")
    assert [cause for cause in _causes.TITLES if f"(docs/causes/{cause}.md)" not in readme] == []
