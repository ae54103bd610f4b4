# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What nginx does with idle connections to an app server, from an upstream block's own words.

Beside the observation this is the one thing that hosts and controller both know: what the diagnosis calls a race, no
change may bring about.
"""

from __future__ import annotations

import math
import re
from typing import Iterable, Sequence, Tuple

Version = Tuple[int, ...]  # of nginx; empty when it is not known

KEPT_BY_DEFAULT_SINCE = (1, 29, 7)
TIMEOUT_SINCE = (1, 15, 3)  # before, nothing but the app server ends an idle connection

_DEFAULT_NUMBER = "32"
_DEFAULT_TIMEOUT = "60s"
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0, "M": 2592000.0, "y": 31536000.0}


def keeps_for(directives: Iterable[Sequence[str]], *, version: Version) -> float | None:
    """For how many seconds the block's idle connections are kept; infinity: until they are closed, None: not at all."""
    words = {one[0]: list(one[1:]) for one in directives}
    number = words.get("keepalive") or [_DEFAULT_NUMBER if version >= KEPT_BY_DEFAULT_SINCE else "0"]
    if number[0] == "0":
        return None
    if version and version < TIMEOUT_SINCE:
        return math.inf
    return seconds(" ".join(words.get("keepalive_timeout") or [_DEFAULT_TIMEOUT]))


def races(*, idle: float | None, kept: float | None) -> bool:
    """Whether a request may meet an app server that is closing: it does so after `idle` s, nginx after `kept`."""
    return idle is not None and kept is not None and 0 < idle <= kept


def safe_timeout(idle: float) -> str | None:
    """The longest `keepalive_timeout`, in whole seconds, with which nginx closes first; None: there is none."""
    longest = math.ceil(idle) - 1
    return f"{longest}s" if longest > 0 else None


def span(kept: float) -> str:
    return "until the app server closes them" if kept == math.inf else f"for {kept:g} s"


def seconds(text: str) -> float | None:
    """A time as nginx writes it: "60s", "1m 30s", "75"; None when it is a variable."""
    if not re.fullmatch(r"(?:\d+(?:ms|[smhdwMy])?\s*)+", text.strip()):
        return None
    return sum(int(number) * _UNITS[unit or "s"] for number, unit in re.findall(r"(\d+)(ms|[smhdwMy])?", text))
