# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Active health checks, which nginx Plus alone has."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.sre.bad_gateway.plugins.module_utils._change._routes._change_routes import draft_entries
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._routes._draft import Draft
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._routes._entry import entry_of
from ansible_collections.sre.bad_gateway.plugins.module_utils._nginx._config import read_config

TEXT = "http { upstream app { zone app 64k; server a:1; } server { location / {\n    proxy_pass http://app;\n} } }\n"
ENTRY = {"location": "/", "health_check": "interval=5s uri=/health"}


def draft(directory: Path, text: str, *, plus: bool) -> Draft:
    (directory / "nginx.conf").write_text(text)
    return Draft(read_config("nginx.conf", prefix=str(directory)), version=(1, 25, 5), plus=plus)


def test_nginx_plus_asks_and_stops_asking(tmp_path: Path) -> None:
    asking = draft(tmp_path, TEXT, plus=True)
    draft_entries([asking], [entry_of(ENTRY)])
    new = asking.results()[asking.config.main].decode()
    assert "    proxy_pass http://app;\n    health_check interval=5s uri=/health;\n" in new
    assert asking.warnings == []
    again = draft(tmp_path, new, plus=True)
    draft_entries([again], [entry_of(ENTRY)])
    assert again.results() == {}
    back = draft(tmp_path, new, plus=True)
    draft_entries([back], [entry_of({**ENTRY, "state": "absent"})])
    assert back.results()[back.config.main].decode() == TEXT


@pytest.mark.parametrize(("state", "warnings"), [("present", 1), ("absent", 0)])
def test_any_other_nginx_cannot_and_that_is_said(tmp_path: Path, state: str, warnings: int) -> None:
    open_source = draft(tmp_path, TEXT, plus=False)
    draft_entries([open_source], [entry_of({**ENTRY, "state": state})])
    assert open_source.results() == {}
    assert [("only nginx Plus" in one) for one in open_source.warnings] == [True] * warnings
