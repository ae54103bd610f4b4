# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which listener serves which address."""

from __future__ import annotations

import pytest

from ansible_collections.sre.bad_gateway.plugins.plugin_utils._diagnosis._addresses import (
    Place,
    as_nginx_writes,
    covers,
    host_and_port,
    key_of,
)

COVERS = [
    ("127.0.0.1", "127.0.0.1", True),
    ("127.0.0.1", "127.0.0.2", False),
    ("0.0.0.0", "10.0.0.1", True),
    ("0.0.0.0", "::1", False),
    ("::", "::1", True),
    ("::", "10.0.0.1", True),
    ("*", "10.0.0.1", True),
    ("::ffff:127.0.0.1", "127.0.0.1", True),
    ("0:0:0:0:0:0:0:1", "::1", True),
    ("fe80::1%eth0", "fe80::1", True),
    ("localhost", "127.0.0.1", True),
    ("localhost", "::1", True),
    ("localhost", "10.0.0.1", False),
]


@pytest.mark.parametrize(("listening", "address", "expected"), COVERS)
def test_covers(listening: str, address: str, expected: bool) -> None:
    assert covers(listening, address) is expected


SERVED = [
    (Place("h", ("127.0.0.1",), 80, None), "tcp:127.0.0.1:80", True),
    (Place("h", ("127.0.0.1",), 80, None), "tcp:127.0.0.1:81", False),
    (Place("h", ("::1", "127.0.0.1"), 80, None), "tcp:0.0.0.0:80", True),
    (Place("h", ("::1",), 80, None), "tcp:[::]:80", True),
    (Place("h", ("::1",), 80, None), "unix:/run/a", False),
    (Place("h", (), None, "/run/a"), "unix:/run/a", True),
    (Place("h", (), None, "/run/a"), "unix:/var/run/a", True),
    (Place("h", (), None, "///run//a"), "unix:/run/a", True),
    (Place("h", (), None, "/run/a/"), "unix:/run/a", False),
    (Place("h", (), None, "/run/a"), "unix:/run/ab", False),
    (Place("h", (), None, "/run/a"), "tcp:0.0.0.0:80", False),
]


@pytest.mark.parametrize(("place", "key", "expected"), SERVED)
def test_a_place_is_served(place: Place, key: str, expected: bool) -> None:
    assert place.is_served_by(key) is expected


def test_keys_and_nginx_spelling() -> None:
    assert key_of("::1", 80) == "tcp:[::1]:80"
    assert key_of("/run/a", None) == "unix:/run/a"
    assert host_and_port("tcp:[::1]:80") == ("::1", 80)
    assert as_nginx_writes("::1", 80) == "[::1]:80"
    assert as_nginx_writes("app1", 80) == "app1:80"
