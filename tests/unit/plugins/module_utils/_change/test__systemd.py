# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.sre.bad_gateway.plugins.module_utils._change import _systemd
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._shared import Ran


def test_the_journals_last_lines_hide_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    told = "app[1]: cannot connect to postgres://shop:hunter2@db/shop\napp[1]: password=hunter2 refused\n"
    monkeypatch.setattr(_systemd, "run", lambda *_unused, **_options: Ran(status=0, stdout=told, stderr="", why=""))
    lines = _systemd.journal_tail("app.service")
    assert len(lines) == 2
    assert "hunter2" not in " ".join(lines)
