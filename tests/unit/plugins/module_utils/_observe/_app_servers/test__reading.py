# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Layers of settings, options of command lines, and addresses."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._app_servers._reading import (
    COMMON,
    UNKNOWN,
    Option,
    Reading,
    number,
    parse_bind,
    parse_options,
    read_text,
    truth,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._shared import Notes

OPTIONS = (
    Option("bind", ("-b", "--bind")),
    Option("workers", ("-w", "--workers"), convert=number),
    Option("preload", ("--preload", "--no-preload"), convert=truth, flag=True),
)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("127.0.0.1:8000", "tcp:127.0.0.1:8000"),
        (":9000", "tcp:0.0.0.0:9000"),
        ("localhost", "tcp:localhost:8000"),
        ("[::1]:8001", "tcp:[::1]:8001"),
        ("unix:/run/app.sock", "unix:/run/app.sock"),
        ("unix:///run/app.sock", "unix:/run/app.sock"),
        ("/run/app.sock", "unix:/run/app.sock"),
        ("tcp://127.0.0.1:1", "tcp:127.0.0.1:1"),
        ("fd://3", None),
        ("0.0.0.0:$PORT", None),
        ("127.0.0.1:http", None),
    ],
)
def test_bind(text: str, key: str | None) -> None:
    assert parse_bind(text, default_host="0.0.0.0", default_port=8000) == key


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("-b x --bind y", [("bind", "x"), ("bind", "y")]),
        ("-w3 --workers=4 -w=5", [("workers", 3), ("workers", 4), ("workers", 5)]),
        ("--preload --no-preload", [("preload", True), ("preload", False)]),
        ("--unknown -w 2 app:app", [("workers", 2)]),
        ("--worker-class gthread", []),
        ("-w", []),
        ("-w many", [("workers", UNKNOWN)]),
    ],
)
def test_options(words: str, found: list[tuple[str, Any]]) -> None:
    assert parse_options(words.split(), OPTIONS) == found


@pytest.mark.parametrize(
    ("text", "value"), [("3", 3), ("0.5", 0.5), ("0o7", 7), (4, 4), (True, True), ("x", UNKNOWN), (None, UNKNOWN)]
)
def test_number(text: object, value: object) -> None:
    assert number(text) == value


def test_a_later_layer_wins_and_what_is_hidden_is_none() -> None:
    reading = Reading()
    reading.layer({"workers": 1, "timeout": 30}, "default")
    reading.hide("/etc/unreadable")
    reading.layer({"workers": 2}, "ExecStart")
    settings, sources = reading.shown()
    assert {name: settings[name] for name in ("workers", "timeout")} == {"workers": 2, "timeout": None}
    assert sources == {"workers": "ExecStart", "timeout": "/etc/unreadable"}
    assert not reading.settings_known
    assert set(COMMON) <= set(settings)


def test_only_files_are_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    notes = Notes()
    assert read_text(tmp_path / "fifo", what="settings", notes=notes) is None
    assert notes.entries == [{"what": f"settings {tmp_path}/fifo", "why": "not a file"}]
    assert read_text(tmp_path / "gone", what="settings", notes=notes, required=False) == ""
    assert len(notes.entries) == 1
