# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What nginx does with idle connections, and when that races with the app server."""

from __future__ import annotations

import math
from typing import Sequence

import pytest

from ansible_collections.sre.bad_gateway.plugins.module_utils._keepalive import (
    keeps_for,
    races,
    safe_timeout,
    seconds,
    span,
)

NUMBER, TIME = ["keepalive", "32"], ["keepalive_timeout", "4s"]


@pytest.mark.parametrize(
    ("directives", "version", "kept"),
    [
        ([], (1, 22, 1), None),
        ([TIME], (1, 29, 6), None),
        ([NUMBER], (1, 22, 1), 60.0),
        ([NUMBER, TIME], (1, 22, 1), 4.0),
        ([["keepalive", "32", "local"], ["keepalive_timeout", "1m", "30s"]], (1, 31, 3), 90.0),
        ([], (1, 29, 7), 60.0),
        ([TIME], (1, 29, 7), 4.0),
        ([["keepalive", "0"], TIME], (1, 29, 7), None),
        ([NUMBER], (1, 15, 2), math.inf),
        ([NUMBER], (1, 15, 3), 60.0),
        ([NUMBER], (), 60.0),
    ],
)
def test_how_long_idle_connections_are_kept(
    directives: Sequence[Sequence[str]], version: tuple[int, ...], kept: float | None
) -> None:
    assert keeps_for(directives, version=version) == kept


@pytest.mark.parametrize(
    ("idle", "kept", "race"),
    [
        (5, 60.0, True),
        (60, 60.0, True),
        (75, 60.0, False),
        (75, math.inf, True),
        (0, 60.0, False),
        (5, None, False),
        (None, 60.0, False),
    ],
)
def test_who_closes_first(idle: float | None, kept: float | None, race: bool) -> None:
    assert races(idle=idle, kept=kept) is race


@pytest.mark.parametrize(("idle", "timeout"), [(75, "74s"), (5, "4s"), (2, "1s"), (2.5, "2s"), (1, None), (0, None)])
def test_the_longest_time_that_is_safe(idle: float, timeout: str | None) -> None:
    assert safe_timeout(idle) == timeout
    assert timeout is None or not races(idle=idle, kept=seconds(timeout))


@pytest.mark.parametrize(
    ("text", "number"), [("60s", 60.0), ("1m 30s", 90.0), ("75", 75.0), ("500ms", 0.5), ("1h", 3600.0), ("$time", None)]
)
def test_times_as_nginx_writes_them(text: str, number: float | None) -> None:
    assert seconds(text) == number


def test_how_long_in_words() -> None:
    assert (span(60.0), span(math.inf)) == ("for 60 s", "until the app server closes them")
