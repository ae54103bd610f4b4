# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A shop that can be asked to misbehave: the path says how."""

from __future__ import annotations

import ctypes
import os
import signal
import time
from typing import Any


def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    path = environ.get("PATH_INFO", "/").strip("/")
    name, _dash, number = path.partition("-")
    headers = [("Content-Type", "text/plain")]
    if name == "slow":
        time.sleep(float(number))
    elif name == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    elif name == "exit":
        os._exit(int(number))
    elif name == "segfault":
        ctypes.string_at(0)
    elif name == "busy":  # in C, where Python delivers no signal
        sum(range(int(number) * 100_000_000))
    elif name == "hog":
        bytearray(int(number) * 1_000_000)
    elif name == "header":
        headers.append(("X-Large", "x" * int(number)))
    if name in ("500", "502", "503", "404"):
        start_response(f"{name} The app says so", headers)
        return [b"the app says so\n"]
    start_response("200 OK", headers)
    return [b"x" * 1_000_000] * int(number) if name == "large" else [b"the shop\n"]
