# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Texts as systemd prints and reads them."""

from __future__ import annotations

import re
import shlex

_ARGUMENTS = r"argv\[\]=(?P<argv>.*?) ; ignore_errors="


def split_words(text: str) -> list[str]:
    """A list that systemd printed with its own shell-like quoting; text that does not follow it is split at blanks."""
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()


def parse_exec(text: str) -> tuple[str, ...]:
    """The argv of `{ path=... ; argv[]=... ; ... }`. systemd joins it with blanks and quotes nothing.

    Of several commands (Type=oneshot) the last one counts: it is the one that may stay.
    """
    found = re.findall(_ARGUMENTS, text)
    return tuple(found[-1].split()) if found else ()


def parse_environment(text: str) -> dict[str, str]:
    return dict(entry.split("=", 1) for entry in split_words(text) if "=" in entry)


def parse_environment_file(text: str) -> dict[str, str]:
    """An EnvironmentFile=: lines NAME=value, with quotes, comments with # and ;."""
    found: dict[str, str] = {}
    for line in text.replace("\\\n", "").splitlines():
        name, equals, value = line.strip().partition("=")
        if equals and not name.startswith(("#", ";")):
            found[name.strip()] = " ".join(split_words(value.strip())) if value.strip()[:1] in "'\"" else value.strip()
    return found


def parse_show(text: str) -> list[dict[str, str]]:
    """The blocks of `systemctl show`; a key that is printed several times (ExecStart=) keeps all lines."""
    blocks: list[dict[str, str]] = []
    for part in re.split(r"\n\n+", text.strip("\n")):
        block: dict[str, str] = {}
        for line in part.splitlines():
            key, equals, value = line.partition("=")
            if equals:
                block[key] = f"{block[key]}\n{value}" if key in block else value
        if block:
            blocks.append(block)
    return blocks
