# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Node.js, of which little shows from outside."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._app_servers._node import read_node
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._app_servers._start import Start
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._shared import Notes


@pytest.mark.parametrize(
    ("environment", "binds", "source"),
    [
        ({}, [], ""),
        ({"PORT": "3000"}, ["tcp:0.0.0.0:3000"], "PORT"),
        ({"PORT": "3000", "HOST": "127.0.0.1"}, ["tcp:127.0.0.1:3000"], "PORT"),
        ({"PORT": "/run/iisnode"}, [], ""),
    ],
)
def test_the_program_decides_itself(environment: dict[str, str], binds: list[str], source: str) -> None:
    start = Start(argv=("node", "x.js"), environment=environment, directory=Path("/srv"), source="ExecStart")
    reading = read_node(start, notes=Notes())
    assert (reading.binds, reading.binds_known, reading.binds_from) == (binds, False, source)
    assert (reading.get("idle_timeout"), reading.settings_from["idle_timeout"]) == (5, "default")
    assert not reading.settings_known
