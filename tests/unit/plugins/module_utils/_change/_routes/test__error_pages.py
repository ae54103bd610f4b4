# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Error pages of sites that have a file each: every file can do without the others."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.sre.bad_gateway.plugins.module_utils._change._routes._change_routes import draft_entries
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._routes._draft import Draft
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._routes._entry import entry_of
from ansible_collections.sre.bad_gateway.plugins.module_utils._nginx._config import read_config

SITES = ("a", "b")
MAP = "map $http_accept $bad_gateway_page {"


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    (tmp_path / "nginx.conf").write_text("http { include *.site; }\n")
    for site in SITES:
        (tmp_path / f"{site}.site").write_text(text(site))
    return tmp_path


def text(site: str) -> str:
    return f"server {{\n    server_name {site};\n    location / {{ proxy_pass http://{site}:1; }}\n}}\n"


def apply(prefix: Path, *sites: str, state: str = "present", shared: bool = False) -> set[str]:
    """Give the sites their pages, or take them; the names of the files that change."""
    draft = Draft(read_config("nginx.conf", prefix=str(prefix)))
    wish = {"error_pages": {"retry_after": 9}, "state": state, "allow_shared": shared}
    draft_entries([draft], [entry_of({"server_name": site, **wish}) for site in sites])
    results = draft.results()
    for file, data in results.items():
        Path(file).write_bytes(data)
    return {Path(file).name for file in results}


def maps(prefix: Path) -> dict[str, int]:
    return {path.name: path.read_text().count(MAP) for path in prefix.iterdir()}


def test_every_file_has_the_map_that_its_servers_need(prefix: Path) -> None:
    assert apply(prefix, *SITES) == {"a.site", "b.site"}
    assert maps(prefix) == {"nginx.conf": 0, "a.site": 1, "b.site": 1}
    assert apply(prefix, *SITES) == set()


def test_taking_one_site_back_leaves_the_other_alone(prefix: Path) -> None:
    apply(prefix, *SITES)
    assert apply(prefix, "a", state="absent") == {"a.site"}
    assert (prefix / "a.site").read_text() == text("a")
    assert apply(prefix, "b", state="absent") == {"b.site"}
    assert (prefix / "b.site").read_text() == text("b")


def test_a_map_that_others_still_need_stays(prefix: Path) -> None:
    apply(prefix, *SITES)
    alone = (prefix / "b.site").read_text()
    moved = alone[alone.index(MAP) : alone.index("server {")]
    (prefix / "b.site").write_text(alone.replace(moved, ""))
    (prefix / "maps.site").write_text(moved)
    apply(prefix, "a", state="absent")
    assert maps(prefix) == {"nginx.conf": 0, "a.site": 0, "b.site": 0, "maps.site": 1}


def test_every_server_that_shares_the_route_has_the_map(prefix: Path) -> None:
    (prefix / "snippet").write_text("location / { proxy_pass http://a:1; }\n")
    for site in SITES:
        (prefix / f"{site}.site").write_text(f"server {{\n    server_name {site};\n    include snippet;\n}}\n")
    before = {path.name: path.read_text() for path in prefix.iterdir()}
    assert apply(prefix, "a", shared=True) == {"a.site", "b.site", "snippet"}
    assert maps(prefix) == {"nginx.conf": 0, "a.site": 1, "b.site": 1, "snippet": 0}
    apply(prefix, "b", state="absent", shared=True)
    assert {path.name: path.read_text() for path in prefix.iterdir()} == before
