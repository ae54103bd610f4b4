# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable

import pytest

from ansible_collections.sre.bad_gateway.plugins.module_utils._change._routes._change_routes import draft_entries
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._routes._draft import Draft
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._routes._entry import entry_of
from ansible_collections.sre.bad_gateway.plugins.module_utils._nginx._config import read_config

OLD = (1, 22, 1)
Shape = Callable[..., str]


@pytest.fixture
def shape(tmp_path: Path) -> Shape:
    """What becomes of `nginx.conf` (each character a byte) when the entries are applied."""

    def shaped(text: str, *entries: dict[str, Any], version: tuple[int, ...] = OLD, **others: str) -> str:
        (tmp_path / "nginx.conf").write_bytes(text.encode("latin-1"))
        for name, other in others.items():
            (tmp_path / name).write_bytes(other.encode("latin-1"))
        draft = Draft(read_config("nginx.conf", prefix=str(tmp_path)), version=version)
        draft_entries([draft], [entry_of(entry) for entry in entries])
        return draft.results().get(draft.config.main, text.encode("latin-1")).decode("latin-1")

    return shaped
