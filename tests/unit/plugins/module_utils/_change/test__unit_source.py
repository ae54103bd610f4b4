# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A unit's start, in the words of its files."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.sre.bad_gateway.plugins.module_utils._change._systemd import SystemdError
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._unit_source import (
    assignment,
    parse_source,
    read_source,
)
from ansible_collections.sre.bad_gateway.tests.unit.plugins.module_utils._change._systemd_double import Systemd

VENDOR = """\
[Unit]
Description=ExecStart=/not/this
[Service]
Environment=PORT=8000 "GREETING=good day"
ExecStart=/usr/bin/gunicorn --chdir "%h/my shop" \\
# a comment between lines that go on
    --bind 127.0.0.1:${PORT} shop:app
[Install]
ExecStart=/nor/this
"""
COMMAND = '/usr/bin/gunicorn --chdir "%h/my shop"      --bind 127.0.0.1:${PORT} shop:app'


@pytest.mark.parametrize(
    ("drop_in", "commands", "environment"),
    [
        pytest.param("", (COMMAND,), {"PORT": "8000", "GREETING": "good day"}, id="the unit alone"),
        pytest.param(
            "[Service]\nExecStart=\nExecStart=/bin/other\n",
            ("/bin/other",),
            {"PORT": "8000", "GREETING": "good day"},
            id="another command",
        ),
        pytest.param(
            "[Service]\nEnvironment=PORT=9000\n",
            (COMMAND,),
            {"PORT": "9000", "GREETING": "good day"},
            id="the last of a variable",
        ),
        pytest.param("[Service]\nEnvironment=\n", (COMMAND,), {}, id="no variables any more"),
        pytest.param(
            "# [Service]\n[Service]\n;Environment=\nExecStart=/bin/second\n",
            (COMMAND, "/bin/second"),
            {"PORT": "8000", "GREETING": "good day"},
            id="comments, and a second command",
        ),
    ],
)
def test_what_comes_later_wins(drop_in: str, commands: tuple[str, ...], environment: dict[str, str]) -> None:
    source = parse_source("shop.service", [VENDOR, drop_in])
    assert (source.commands, source.environment) == (commands, environment)


def test_a_value_that_cannot_be_read_names_the_unit() -> None:
    with pytest.raises(SystemdError, match=r'^shop\.service: Environment="A=b cannot be read'):
        parse_source("shop.service", ['[Service]\nEnvironment="A=b\n'])


@pytest.mark.parametrize(
    "value", ["--workers 5", 'say "hello"', "back\\slash", "it's"], ids=["plain", "quotes", "backslash", "apostrophe"]
)
def test_an_assignment_is_read_as_it_was_meant(value: str) -> None:
    text = f"[Service]\nEnvironment={assignment('NAME', value)}\n"
    assert parse_source("shop.service", [text]).environment == {"NAME": value}


def test_one_drop_in_is_left_out(systemd: Systemd, tmp_path: Path) -> None:
    ours, theirs = tmp_path / "90-ours.conf", tmp_path / "10 theirs.conf"
    ours.write_text("[Service]\nEnvironment=PORT=1\n")
    theirs.write_text("[Service]\nEnvironment=PORT=2\n")
    systemd.add("shop.service", text=VENDOR, DropInPaths=f'"{theirs}" {ours}')
    assert read_source("shop.service", without=ours).environment["PORT"] == "2"


def test_files_that_are_gone_are_named(systemd: Systemd, tmp_path: Path) -> None:
    systemd.add("shop.service", DropInPaths=str(tmp_path / "gone.conf"))
    with pytest.raises(SystemdError, match=r"^shop\.service: its files cannot be read: .*gone\.conf"):
        read_source("shop.service", without=tmp_path / "90-ours.conf")
