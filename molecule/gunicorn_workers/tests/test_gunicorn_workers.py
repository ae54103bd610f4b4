# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import time
from typing import Callable

import pytest
from testinfra.host import Host

#: One CPU is left to each; the forum was given its number, and the docs had chosen theirs.
WORKERS = {"shop": 3, "blog": 3, "forum": 4, "docs": 2}
SHOP = "/usr/bin/gunicorn --bind unix:/run/shop/shop.sock --backlog 8 --workers 3 shop:application"
DROP_INS = {
    "shop": f"ExecStart=\nExecStart={SHOP}\n",
    "blog": 'Environment="GUNICORN_CMD_ARGS=--workers 3"\n',
    "forum": 'Environment="GUNICORN_CMD_ARGS=--workers 4"\n',
}


def workers(host: Host, app: str) -> int:
    master = host.check_output("systemctl show --value --property=MainPID %s", f"{app}.service")
    return int(host.check_output("pgrep --count --parent %s", master))


def test_a_spike_is_answered(host: Host) -> None:
    assert json.loads(host.check_output("python3 /root/spike.py shop.example")) == {"200": 64}


@pytest.mark.parametrize("app", WORKERS)
def test_every_site_answers(status: Callable[[str], int], app: str) -> None:
    assert status(f"{app}.example") == 200


@pytest.mark.parametrize("app", WORKERS)
def test_the_right_number_runs_and_nothing_was_restarted(host: Host, app: str) -> None:
    assert workers(host, app) == WORKERS[app]
    unit = f"{app}.service"
    assert host.check_output("systemctl show --value --property=NRestarts %s", unit) == "0"
    # What started it was asked for the former number.
    arguments = host.check_output("ps -o args= -p $(systemctl show --value --property=MainPID %s)", unit)
    assert "--workers 3" not in arguments
    journal = host.check_output("journalctl --no-pager -u %s", unit)
    assert journal.count("Listening at") == 1


@pytest.mark.parametrize("app", WORKERS)
def test_the_drop_in_says_it_where_it_wins(host: Host, app: str) -> None:
    drop_in = host.file(f"/etc/systemd/system/{app}.service.d/zz-bad-gateway-workers.conf")
    if app in DROP_INS:
        assert drop_in.content_string.endswith(f"\n[Service]\n{DROP_INS[app]}")
    else:
        assert not drop_in.exists


def test_the_settings_file_is_as_it_was(host: Host) -> None:
    assert host.file("/etc/forum/gunicorn.conf.py").content_string.endswith("\nworkers = 1\n")


@pytest.mark.parametrize("app", WORKERS)
def test_the_next_start_brings_as_many(host: Host, app: str) -> None:
    host.check_output("systemctl restart %s", f"{app}.service")
    end = time.monotonic() + 30
    while workers(host, app) != WORKERS[app] and time.monotonic() < end:
        time.sleep(0.5)
    assert workers(host, app) == WORKERS[app]
