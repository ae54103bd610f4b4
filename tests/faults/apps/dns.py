# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A name server that knows one name, or fails: `dns.py answers|nxdomain|servfail|silent`."""

from __future__ import annotations

import socket
import sys

CODES = {"answers": 0, "servfail": 2, "nxdomain": 3}


def answer(query: bytes, mode: str) -> bytes:
    """Say 127.0.0.1 for every question of type A, or the mode's error."""
    question_end = query.index(b"\0", 12) + 5
    wants_a = query[question_end - 4 : question_end - 2] == b"\0\1"
    answers = int(mode == "answers" and wants_a)
    header = query[:2] + bytes([0x81, 0x80 | CODES[mode]]) + bytes([0, 1, 0, answers, 0, 0, 0, 0])
    record = b"\xc0\x0c\0\1\0\1\0\0\0\5\0\4" + bytes([127, 0, 0, 1])
    return header + query[12:question_end] + record * answers


def main() -> None:
    mode = sys.argv[1]
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 5353))
    while True:
        query, client = server.recvfrom(4096)
        if mode != "silent":
            server.sendto(answer(query, mode), client)


if __name__ == "__main__":
    main()
