# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Carries an SSH connection as its ProxyCommand, and delivers everything later: the host is as far away as others are.

Arguments: host, port, the seconds that it takes one way.
"""

from __future__ import annotations

import os
import queue
import socket
import sys
import threading
import time
from collections.abc import Callable

_CHUNK = 65536


def carry(read: Callable[[], bytes], write: Callable[[bytes], object], *, seconds: float) -> threading.Thread:
    """Begin to deliver what is read, so many seconds after it was. The thread ends when the last of it is delivered."""
    under_way: queue.SimpleQueue[tuple[float, bytes]] = queue.SimpleQueue()

    def send() -> None:
        while True:
            data = read()
            under_way.put((time.monotonic() + seconds, data))
            if not data:
                return

    def deliver() -> None:
        while True:
            due, data = under_way.get()
            time.sleep(max(0.0, due - time.monotonic()))
            if not data:
                return
            write(data)

    threading.Thread(target=send, daemon=True).start()
    delivery = threading.Thread(target=deliver, daemon=True)
    delivery.start()
    return delivery


def main() -> None:
    """Carry it until the host hangs up."""
    host, port, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    with socket.create_connection((host, port)) as connection, open(1, "wb", buffering=0) as out:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        carry(lambda: os.read(0, _CHUNK), connection.sendall, seconds=seconds)
        carry(lambda: connection.recv(_CHUNK), out.write, seconds=seconds).join()


if __name__ == "__main__":
    main()
