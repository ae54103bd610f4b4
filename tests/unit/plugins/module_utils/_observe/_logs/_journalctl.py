# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A journalctl that prints what a test wants."""

from __future__ import annotations

import json
from typing import Any

from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._shared import Ran

NOW = 1795249305.0


def printed(message: Any, *, seconds_ago: float = 0, **fields: Any) -> str:
    return json.dumps(
        {
            "__REALTIME_TIMESTAMP": str(int((NOW - seconds_ago) * 1e6)),
            "_SYSTEMD_UNIT": "shop.service",
            "_PID": "120",
            "MESSAGE": message,
            **fields,
        }
    )


class Fake:
    """journalctl: answers are taken in turn, the last one stays."""

    def __init__(self, *answers: Ran) -> None:
        self.answers = list(answers)
        self.asked: list[list[str]] = []

    def __call__(self, argv: list[str], *, seconds: float) -> Ran:
        assert seconds <= 5
        self.asked.append(argv)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def answer(*lines: str, status: int | None = 0, stderr: str = "", why: str = "", cut: str = "") -> Ran:
    return Ran(status=status, stdout="\n".join(lines), stderr=stderr, why=why, cut=cut)
