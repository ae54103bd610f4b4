# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The endpoint of an upstream's address, as nginx writes it to its logs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import EndpointKey

_PEER = r"(?P<scheme>\w+)://(?:unix:(?P<path>[^:]+)|(?P<host>\[[^\]]+\]|[^/:?]+)(?::(?P<port>\d+))?)"
_ADDRESS = r"(?:\[[^\]]+\]|[^/:?\s]+):\d+"


def address_endpoint(address: str) -> EndpointKey | None:
    """The endpoint of an address as nginx prints it: `127.0.0.1:8000`, `unix:/run/x.sock`; None for any other text."""
    if address.startswith("unix:"):
        return address
    return f"tcp:{address}" if re.fullmatch(_ADDRESS, address) else None


def endpoint_of(upstream: str) -> EndpointKey | None:
    """The endpoint in an `upstream:` field; None for the name of an upstream block, which has no port."""
    peer = re.match(_PEER, upstream)
    if peer and peer["path"]:
        return f"unix:{peer['path']}"
    return f"tcp:{peer['host']}:{peer['port']}" if peer and peer["port"] else None
