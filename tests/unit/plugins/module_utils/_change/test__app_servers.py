# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whose app server an address of nginx's leads to."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.sre.bad_gateway.plugins.module_utils._change._app_servers import AppServers
from ansible_collections.sre.bad_gateway.plugins.module_utils._nginx._address import parse_address

OWN = ("127.0.0.1", "::1", "10.0.0.5")


def app(*listens: str, binds: tuple[str, ...] = ()) -> Any:
    return {"unit": "shop.service", "listens": list(listens), "binds": list(binds)}


@pytest.mark.parametrize(
    ("address", "listens", "found"),
    [
        ("127.0.0.1:8000", "tcp:127.0.0.1:8000", True),
        ("127.0.0.1:8000", "tcp:127.0.0.1:8001", False),
        ("127.0.0.1:8000", "tcp:0.0.0.0:8000", True),
        ("[::1]:3000", "tcp:[::]:3000", True),
        ("127.0.0.1:3000", "tcp:[::]:3000", True),
        ("10.0.0.5:8000", "tcp:0.0.0.0:8000", True),
        ("10.0.0.5:8000", "tcp:127.0.0.1:8000", False),
        ("10.0.0.6:8000", "tcp:0.0.0.0:8000", False),
        ("localhost:8000", "tcp:127.0.0.1:8000", True),
        ("app1:8000", "tcp:0.0.0.0:8000", False),
        ("unix:/run/shop.sock", "unix:/run/shop.sock", True),
        ("unix:/run/shop.sock", "unix:/run/docs.sock", False),
        ("127.0.0.1:8000", "unix:/run/shop.sock", False),
    ],
)
def test_who_is_behind_an_address(address: str, listens: str, found: bool) -> None:
    server = app(listens)
    assert AppServers(lambda: ([app("tcp:127.0.0.1:1"), server], OWN)).behind(parse_address(address)) == (
        server if found else None
    )


def test_of_one_that_does_not_run_the_settings_count() -> None:
    server = app(binds=("tcp:127.0.0.1:8000",))
    assert AppServers(lambda: ([server], OWN)).behind(parse_address("127.0.0.1:8000")) == server


def test_the_host_is_looked_at_once_and_only_when_asked() -> None:
    looks: list[str | None] = []

    def look() -> Any:
        looks.append(None)
        return [], OWN

    apps = AppServers(look)
    assert not looks
    assert [apps.behind(parse_address(one)) for one in ("127.0.0.1:1", "127.0.0.1:2")] == [None, None]
    assert len(looks) == 1
