# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the drop-in says, for every place that may say a number already."""

from __future__ import annotations

from typing import Mapping

import pytest

from ansible_collections.sre.bad_gateway.plugins.module_utils._change._gunicorn_drop_in import (
    arguments_with,
    command_with,
    number,
    place,
    sections,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._live_workers import WorkersError
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._unit_files import render
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._unit_source import UnitSource, parse_source

UNIT = "shop.service"
PLAIN = "/usr/bin/gunicorn --bind 127.0.0.1:8000 shop:app"


@pytest.mark.parametrize(
    ("command", "changed"),
    [
        (PLAIN, f"{PLAIN} --workers 5"),
        ("/usr/bin/gunicorn", "/usr/bin/gunicorn --workers 5"),
        ("/usr/bin/gunicorn --workers 2 shop:app", "/usr/bin/gunicorn --workers 5 shop:app"),
        ("/usr/bin/gunicorn --workers=2 shop:app", "/usr/bin/gunicorn --workers=5 shop:app"),
        ("gunicorn -w 2 shop:app", "gunicorn -w 5 shop:app"),
        ("gunicorn shop:app -w2", "gunicorn shop:app -w5"),
        ('gunicorn --workers "${N}" -b :80 x', "gunicorn --workers 5 -b :80 x"),
        ("gunicorn -w $N --name 'my -w 3 shop' x", "gunicorn -w 5 --name 'my -w 5 shop' x"),
        ("gunicorn -w 1 x -w 2", "gunicorn -w 5 x -w 5"),
        ("gunicorn --worker-class gthread x", "gunicorn --worker-class gthread x --workers 5"),
        ("gunicorn --name x-w 3 x", "gunicorn --name x-w 3 x --workers 5"),
        ("gunicorn   --bind  :80\t-w  2 x", "gunicorn   --bind  :80\t-w  5 x"),
        ("-/usr/bin/env -u -w gunicorn x", "-/usr/bin/env -u -w gunicorn x --workers 5"),
        ("/srv/gunicorn-venv/bin/python -m gunicorn -w 2 x", "/srv/gunicorn-venv/bin/python -m gunicorn -w 5 x"),
        ("@/usr/bin/gunicorn shop %i $OPTIONS", "@/usr/bin/gunicorn shop %i $OPTIONS --workers 5"),
        ("/bin/sh -c 'exec gunicorn -w 2 x'", "/bin/sh -c 'exec gunicorn -w 5 x'"),
        ('/bin/sh -c "exec gunicorn x --workers 2"', '/bin/sh -c "exec gunicorn x --workers 5"'),
    ],
)
def test_the_command_with_another_number(command: str, changed: str) -> None:
    assert command_with(UNIT, (command,), 5) == changed


@pytest.mark.parametrize(
    ("commands", "why"),
    [
        ((), "it has 0 ExecStart="),
        ((PLAIN, PLAIN), "it has 2 ExecStart="),
        (("-/bin/bash -c 'gunicorn x'",), "a shell starts its gunicorn"),
    ],
)
def test_commands_that_cannot_be_changed(commands: tuple[str, ...], why: str) -> None:
    with pytest.raises(WorkersError, match=f"^shop.service: {why}"):
        command_with(UNIT, commands, 5)


@pytest.mark.parametrize(
    ("arguments", "changed"),
    [
        ("", "--workers 5"),
        ("--threads 4", "--threads 4 --workers 5"),
        ("--workers=2 --threads 4", "--workers=5 --threads 4"),
        ("--name 'my shop' -w 2", "--name 'my shop' -w 5"),
    ],
)
def test_the_variable_keeps_what_else_it_holds(arguments: str, changed: str) -> None:
    assert arguments_with(arguments, 5) == changed


@pytest.mark.parametrize(
    ("environment", "on_command", "says"),
    [
        ({"PORT": "80"}, False, 'Environment="GUNICORN_CMD_ARGS=--workers 5"\n'),
        ({"GUNICORN_CMD_ARGS": '--name "a\\b"'}, False, r'"GUNICORN_CMD_ARGS=--name \"a\\b\" --workers 5"'),
        ({"GUNICORN_CMD_ARGS": "-w 2"}, True, f"ExecStart={PLAIN} --workers 5\n"),
    ],
    ids=["no variable yet", "one with quotes", "the command wins"],
)
def test_what_the_drop_in_says_is_read_again(environment: Mapping[str, str], on_command: bool, says: str) -> None:
    source = UnitSource(commands=(PLAIN,), environment=environment)
    text = render(sections(UNIT, source, workers=5, on_command=on_command))
    assert says in text
    assert (place(text), number(text)) == ("ExecStart" if on_command else "GUNICORN_CMD_ARGS", 5)
    read = parse_source(UNIT, [text])
    assert read.commands or read.environment["GUNICORN_CMD_ARGS"].endswith("--workers 5")


def test_no_drop_in_says_nothing() -> None:
    assert (place(""), number("")) == (None, None)
