# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One request to an nginx of the lab, as a client would make it."""

from __future__ import annotations

import http.client


def status_of(*, address: str, port: int, server_name: str, path: str = "/") -> int:
    """The status code of a GET with that Host header. A connection that fails is an OSError, as for any client."""
    connection = http.client.HTTPConnection(address, port, timeout=75)
    try:
        connection.request("GET", path, headers={"Host": server_name})
        return connection.getresponse().status
    finally:
        connection.close()
