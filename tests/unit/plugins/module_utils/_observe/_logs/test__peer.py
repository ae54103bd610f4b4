# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Addresses of upstreams, as nginx's logs have them."""

from __future__ import annotations

import pytest

from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._logs._peer import address_endpoint, endpoint_of


@pytest.mark.parametrize(
    ("upstream", "endpoint"),
    [
        ("http://127.0.0.1:8000", "tcp:127.0.0.1:8000"),
        ("https://[::1]:8443/x", "tcp:[::1]:8443"),
        ("http://unix:/run/x.sock:/a", "unix:/run/x.sock"),
        ("uwsgi://unix:///run/x.sock:", "unix:///run/x.sock"),
        ("http://backend/", None),
    ],
)
def test_endpoint_of_an_upstream_field(upstream: str, endpoint: str | None) -> None:
    assert endpoint_of(upstream) == endpoint


@pytest.mark.parametrize("text", ["", "app", "127.0.0.1", "upstream name:80"])
def test_what_is_no_address(text: str) -> None:
    assert address_endpoint(text) is None
