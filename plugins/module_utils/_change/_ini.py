# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One value of an ini file changed in place: every other byte stays as it is.

For the dialects of uWSGI and PHP-FPM: keys may come several times, and the last one counts. Text is bytes read as
latin-1, so that what is in no encoding at all comes back as it was.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Collection, Iterator

from ansible_collections.sre.bad_gateway.plugins.module_utils._change._errors import ChangeError

_LINE = re.compile(r"[^\n]+\n?")
_HEADER = re.compile(r"[ \t\r]*\[(?P<name>[^\]\n]*)\]")
#: A comment may follow: PHP-FPM skips it, and uWSGI reads a number as far as it goes.
_KEY = re.compile(
    r"(?P<indent>[ \t\r]*)(?P<name>[^\s=;#\[][^=;\n]*?)(?P<equals>[ \t]*=[ \t]*)[\"']?(?P<value>[^\s;\"']*)"
)


class IniError(ChangeError):
    """There is no place for the value; the message says what was looked for."""


@dataclass(frozen=True)
class _Key:
    """A line `name = value` and where it stands."""

    name: str
    indent: str
    equals: str
    start: int  # of the value
    end: int
    line_end: int  # behind the line's own end
    newline: str  # "" where the file ends without one


def sections(text: str) -> list[str]:
    """The names of the sections, each once."""
    found = (_HEADER.match(line[0]) for line in _LINE.finditer(text))
    return list(dict.fromkeys(header["name"].strip() for header in found if header))


def with_value(text: str, value: int, *, section: str, names: Collection[str], after: Collection[str]) -> str:
    """The text with that value where the last of `names` has it, else in one line of its own.

    The new line has the first of the names and follows the last key of `after`, or of the section.
    """
    keys = list(_keys(text, section))
    found = [key for key in keys if key.name in names]
    if found:
        return f"{text[: found[-1].start]}{value}{text[found[-1].end :]}"
    neighbours = [key for key in keys if key.name in after] or keys
    if not neighbours:
        raise IniError(f"[{section}] holds no setting that {next(iter(names))} could stand beside")
    last = neighbours[-1]
    line = f"{last.indent}{next(iter(names))}{last.equals}{value}"
    new = f"{line}{last.newline}" if last.newline else f"\n{line}"
    return text[: last.line_end] + new + text[last.line_end :]


def _keys(text: str, section: str) -> Iterator[_Key]:
    """Those of a section, and those before any header: an included file goes on where it is included."""
    current = section
    for line in _LINE.finditer(text):
        header = _HEADER.match(line[0])
        key = None if header else _KEY.match(line[0])
        if header:
            current = header["name"].strip()
        elif key and current == section:
            yield _Key(
                name=key["name"],
                indent=key["indent"],
                equals=key["equals"],
                start=line.start() + key.start("value"),
                end=line.start() + key.end("value"),
                line_end=line.end(),
                newline=line[0][len(line[0].rstrip("\r\n")) :],
            )
