# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a unit's files say of its start, in their own words, with one drop-in of ours left out."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Iterable, Iterator, Mapping

from ansible_collections.sre.bad_gateway.plugins.module_utils._change import _systemd
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._systemd import SystemdError


@dataclass(frozen=True)
class UnitSource:
    """`systemctl show` has specifiers replaced and quotes lost: only the files can be written again as they are."""

    commands: tuple[str, ...]  # of ExecStart=
    environment: Mapping[str, str]  # of Environment=, without quotes


def read_source(unit: str, *, without: Path) -> UnitSource:
    """Read the unit's files in systemd's order; SystemdError when one of them cannot be read."""
    told = _systemd.properties(unit, "FragmentPath", "DropInPaths")
    paths = [told["FragmentPath"], *shlex.split(told["DropInPaths"])]
    try:
        texts = [Path(path).read_text("utf-8") for path in paths if path and Path(path) != without]
    except (OSError, ValueError) as error:
        raise SystemdError(f"{unit}: its files cannot be read: {error}") from error
    return parse_source(unit, texts)


def parse_source(unit: str, texts: Iterable[str]) -> UnitSource:
    """Later files win; an empty value takes back what came before."""
    commands: list[str] = []
    words: list[str] = []
    for text in texts:
        for name, value in _service_settings(text):
            if name == "ExecStart":
                commands = [*commands, value] if value else []
            elif name == "Environment":
                words = [*words, *_words(unit, value)] if value else []
    return UnitSource(commands=tuple(commands), environment=dict(word.split("=", 1) for word in words if "=" in word))


def _service_settings(text: str) -> Iterator[tuple[str, str]]:
    section = ""
    # Comments between lines that go on are left out, as systemd does.
    lines = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith(("#", ";")))
    for line in re.sub(r"\\\n", " ", lines).splitlines():
        if line.strip().startswith("["):
            section = line.strip()
        elif section == "[Service]" and "=" in line:
            name, _equals, value = line.partition("=")
            yield name.strip(), value.strip()


def _words(unit: str, value: str) -> list[str]:
    try:
        return shlex.split(value)
    except ValueError as error:
        raise SystemdError(f"{unit}: Environment={value} cannot be read: {error}") from error


def assignment(name: str, value: str) -> str:
    """A variable as Environment= takes it, whatever it holds."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{name}={escaped}"'
