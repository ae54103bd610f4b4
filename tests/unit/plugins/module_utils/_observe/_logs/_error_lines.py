# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lines of an error log as nginx writes them."""

from __future__ import annotations

HEADER = "while reading response header from upstream"
CONNECTING = "while connecting to upstream"
REFUSED = f"connect() failed (111: Connection refused) {CONNECTING}"
ALL = "0000/00/00 00:00:00"


def line(
    message: str,
    *,
    time: str = "2026/11/21 03:50:01",
    level: str = "error",
    upstream: str | None = "http://127.0.0.1:8000/a?k=v",
    server: str = "shop.example",
    request: str = "GET /a?k=v HTTP/1.1",
    subrequest: str | None = None,
) -> str:
    within = f', subrequest: "{subrequest}"' if subrequest else ""
    peer = f', upstream: "{upstream}"' if upstream else ""
    fields = f'client: 192.0.2.9, server: {server}, request: "{request}"{within}{peer}, host: "shop.example"'
    return f"{time} [{level}] 972#972: *17 {message}, {fields}"
