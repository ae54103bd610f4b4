# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The smallest app: says which host answered, and for what."""

from __future__ import annotations

import socket
from typing import Any


def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    host, path = environ.get("HTTP_HOST", "-"), environ.get("PATH_INFO", "")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{socket.gethostname()}: {host}{path}\n".encode()]
