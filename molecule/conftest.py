# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the scenarios' verifiers share: requests through nginx, and the journal when a unit is not as it should be."""

from __future__ import annotations

from typing import Callable

import pytest
from testinfra.host import Host

Status = Callable[[str], int]
UnitState = Callable[[str], str]


@pytest.fixture
def name(host: Host) -> str:
    """The host's name in the inventory."""
    return str(host.backend.get_hostname())


@pytest.fixture
def status(host: Host) -> Status:
    """Asks nginx on the host for a site and returns the HTTP status."""

    def ask(site: str) -> int:
        answer = host.run("curl -sS -o /dev/null -w '%%{http_code}' -H %s http://127.0.0.1/", f"Host: {site}")
        assert answer.rc == 0, answer.stderr
        return int(answer.stdout)

    return ask


@pytest.fixture
def unit_state(host: Host) -> UnitState:
    """Returns a unit's state, like "active enabled"; its journal is printed for a failing test to show."""

    def ask(unit: str) -> str:
        print(host.run("journalctl --no-pager -n 20 -u %s", unit).stdout)
        return " ".join(host.run(f"systemctl {verb} %s", unit).stdout.strip() for verb in ("is-active", "is-enabled"))

    return ask
