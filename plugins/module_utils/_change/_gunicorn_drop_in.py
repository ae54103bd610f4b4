# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The drop-in that makes gunicorn start with a number of workers, whatever else says another one.

Where the command says it, or where a file of variables would take back what a drop-in says, it is the command with
another number; else GUNICORN_CMD_ARGS, which wins over settings files and WEB_CONCURRENCY and leaves the command alone.
"""

from __future__ import annotations

import re
from pathlib import Path

from ansible_collections.sre.bad_gateway.plugins.module_utils._change._live_workers import WorkersError
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._unit_files import Sections
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._unit_source import UnitSource, assignment

COMMAND = "ExecStart"
VARIABLE = "GUNICORN_CMD_ARGS"

_PROGRAM = "gunicorn"
_SHELLS = ("sh", "bash", "dash")
_OPTION = re.compile(r"""(?<![^\s'"])(?P<name>--workers(?:=|\s+)|-w(?:=|\s*))(?P<number>"[^"]*"|'[^']*'|[^\s'"]+)""")


def sections(unit: str, source: UnitSource, *, workers: int, on_command: bool) -> Sections:
    """What the drop-in is to hold; WorkersError where there is no one command to change."""
    if on_command:
        return {"Service": {COMMAND: command_with(unit, source.commands, workers)}}
    arguments = arguments_with(source.environment.get(VARIABLE, ""), workers)
    return {"Service": {"Environment": assignment(VARIABLE, arguments)}}


def command_with(unit: str, commands: tuple[str, ...], workers: int) -> str:
    if len(commands) != 1:
        raise WorkersError(f"{unit}: it has {len(commands)} ExecStart=, and only a single one can be changed")
    before, program, arguments = commands[0].partition(_PROGRAM)
    if _OPTION.search(arguments):
        return before + program + arguments_with(arguments, workers)
    if Path(before.lstrip("@-:+!").split(" ")[0]).name in _SHELLS:
        raise WorkersError(f"{unit}: a shell starts its gunicorn, in words of which --workers is none; add it there")
    return f"{commands[0]} --workers {workers}"


def arguments_with(arguments: str, workers: int) -> str:
    """The same arguments with another number of workers, in the place and spelling that they have for it."""
    changed, found = _OPTION.subn(rf"\g<name>{workers}", arguments)
    return changed if found else f"{arguments} --workers {workers}".lstrip()


def place(text: str) -> str | None:
    """Where a drop-in of ours says the number."""
    return next((name for name in (COMMAND, VARIABLE) if f"{name}=" in text), None)


def number(text: str) -> int | None:
    """The number that a drop-in of ours says."""
    arguments = text.rpartition(f"{place(text)}=")[2]
    said = [found["number"] for found in _OPTION.finditer(arguments) if found["number"].isdigit()]
    return int(said[-1]) if said else None
