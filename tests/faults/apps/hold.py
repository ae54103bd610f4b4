# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Connect so many times, say nothing and stay: `hold.py PORT|PATH NUMBER`. Takes places in a listener's queue."""

from __future__ import annotations

import contextlib
import socket
import sys
import time


def main() -> None:
    where, number = sys.argv[1], int(sys.argv[2])
    held = []
    for _attempt in range(number):
        held.append(socket.socket(socket.AF_UNIX if where.startswith("/") else socket.AF_INET))
        held[-1].setblocking(False)
        with contextlib.suppress(OSError):
            held[-1].connect(where if where.startswith("/") else ("127.0.0.1", int(where)))
    time.sleep(600)


if __name__ == "__main__":
    main()
