# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Error logs as facts, by their paths and by the configuration."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._logs._facts import error_log_facts
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._logs._options import (
    LogOptionError,
    log_window,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._shared import local_time

WINDOW = log_window({"log_since": "24h", "log_bytes": 64 << 20})


def write_log(path: Path) -> str:
    now = local_time(time.time())
    path.write_text(f"{now} [error] 1#1: *1 no live upstreams while connecting to upstream, client: x, server: y\n")
    return str(path)


def test_logs_by_their_paths(tmp_path: Path) -> None:
    path = write_log(tmp_path / "error.log")
    facts = error_log_facts(None, paths=[path, str(tmp_path / "none.log")], window=WINDOW)
    assert [(log["path"], log["available"]) for log in facts["error_logs"]] == [
        (path, True),
        (str(tmp_path / "none.log"), False),
    ]
    assert [event["signature"] for event in facts["error_logs"][0]["events"]] == ["no_live_upstreams"]
    assert facts["error_logs_missed"] == [
        {"what": f"error log {tmp_path}/none.log", "why": "No such file or directory"}
    ]
    assert json.dumps(facts)


def test_logs_by_the_configuration(tmp_path: Path) -> None:
    path = write_log(tmp_path / "error.log")
    config = tmp_path / "nginx.conf"
    config.write_text(f"error_log {path} warn; events {{}} http {{ error_log off; }}")
    facts = error_log_facts(str(config), paths=[], window=WINDOW)
    (log, other) = facts["error_logs"]
    assert (log["path"], log["level"], log["lines"]) == (path, "warn", 1)
    assert other["path"].endswith("/off")  # no keyword here


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("15m", 900), ("24h", 86400), (" 7d ", 604800), ("0", 0)]
)
def test_spans_of_time(text: str, seconds: int) -> None:
    window = log_window({"log_since": text, "log_bytes": 1})
    assert abs(time.time() - seconds - window.since) < 60


@pytest.mark.parametrize(
    ("text", "size", "message"),
    [
        ("yesterday", 1, "log_since: 'yesterday' is no span"),
        ("-1h", 1, "no span"),
        ("", 1, "no span"),
        ("1h", -1, "log_bytes"),
    ],
)
def test_options_that_cannot_be_used(text: str, size: int, message: str) -> None:
    with pytest.raises(LogOptionError, match=message):
        log_window({"log_since": text, "log_bytes": size})
