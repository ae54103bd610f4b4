# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.sre.bad_gateway.plugins.module_utils._change import (
    _journal,
    _listening,
    _systemd,
    _unit_states,
)
from ansible_collections.sre.bad_gateway.tests.unit.plugins.module_utils._change._systemd_double import Systemd


@pytest.fixture(autouse=True)
def state(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where transactions are recorded: not where this machine's own are."""
    directory = tmp_path_factory.mktemp("state") / "sre.bad_gateway"
    monkeypatch.setattr(_journal, "state_directory", lambda: directory)
    monkeypatch.setattr(_journal, "_ROOT", str(directory))
    return directory


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Systemd:
    """Stands for this machine's own."""
    one = Systemd(tmp_path)
    monkeypatch.setattr(_systemd, "run", one.run)
    monkeypatch.setattr(_unit_states, "ROOT", str(one.units))
    monkeypatch.setattr(_unit_states, "RUN_LEVELS", str(tmp_path))
    monkeypatch.setattr(_listening, "_PAUSE", 0.0)
    return one
