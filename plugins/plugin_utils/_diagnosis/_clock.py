# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Times as hosts print them. All are the host's local time, so they compare with each other and nothing else."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Iterable

from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import Observation

#: What is older has healed, or is so rare that nobody is to be called for it. In seconds.
RECENT = 3600.0

#: nginx's "2026/11/21 03:50:01", and systemd's "Sat 2026-11-21 03:50:01 UTC".
_STAMP = re.compile(r"(\d{4})[-/](\d\d)[-/](\d\d) (\d\d):(\d\d):(\d\d)")


def moment(text: str) -> datetime | None:
    match = _STAMP.search(text)
    return datetime(*(int(part) for part in match.groups())) if match else None  # type: ignore[arg-type]


def seconds_between(earlier: str, later: str) -> float | None:
    """Negative when `later` is the earlier one; None when one of them is no time."""
    first, second = moment(earlier), moment(later)
    return (second - first).total_seconds() if first and second else None


def seconds_ago(observation: Observation, text: str) -> float | None:
    """How long before the host was looked at; None when that is not known."""
    return seconds_between(text, observation["host"]["local_time"])


def minute_before(observation: Observation, seconds: float) -> str:
    """The minute so long before the host was looked at, as logs are counted by; "" when that is not known."""
    now = moment(observation["host"]["local_time"])
    return (now - timedelta(seconds=seconds)).strftime("%Y/%m/%d %H:%M") if now else ""


def are_together(per_minute: Iterable[str], others: Iterable[str]) -> bool:
    """Tell whether some of the one happened within a minute of some of the other, by one host's clock."""
    found = [when for minute in per_minute if (when := moment(f"{minute}:00"))]
    around = {when + timedelta(minutes=step) for when in found for step in (-1, 0, 1)}
    return any(moment(f"{minute}:00") in around for minute in others)
