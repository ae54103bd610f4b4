# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the settings of an app server say, layer over layer, with the place that each of them comes from.

Some settings mean the same for every kind, so every reading has them under the same names, None when not known:

workers         processes that serve
threads         of each of them
concurrency     requests served at once, by all workers together; None also when nothing limits them
backlog         of the listening socket, as asked for; the kernel caps it
idle_timeout    seconds that an idle keep-alive connection lives at the app server; 0 when it keeps none
request_timeout seconds after which the app server ends a request or its worker; 0 when it never does
"""

from __future__ import annotations

import re
import stat
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._app_servers._start import Start
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._shared import Notes

if TYPE_CHECKING:
    from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import EndpointKey

COMMON = ("workers", "threads", "concurrency", "backlog", "idle_timeout", "request_timeout")
DEFAULT = "default"

#: A settings file larger than this is not one.
_LARGEST_FILE = 1 << 20


class Unknown:
    """The value of a setting that is made somewhere, but that only running the app would tell."""


UNKNOWN = Unknown()


class Option(NamedTuple):
    """A setting of an app server and how its command line spells it."""

    name: str
    words: tuple[str, ...] = ()
    default: Any = None
    convert: Callable[[str], Any] = str
    flag: bool = False  # takes no value


@dataclass
class Reading:
    """Settings so far; a later layer wins over an earlier one."""

    binds: list[EndpointKey] = field(default_factory=list)
    binds_known: bool = True
    binds_from: str = DEFAULT
    settings: dict[str, Any] = field(default_factory=dict)
    settings_from: dict[str, str] = field(default_factory=dict)
    whole: bool = True  # False: the app server may be told more in a place that cannot be read

    def put(self, name: str, value: Any, source: str) -> None:
        self.settings[name] = value
        self.settings_from[name] = source

    def layer(self, values: Mapping[str, Any], source: str) -> None:
        for name, value in values.items():
            self.put(name, value, source)

    def hide(self, source: str) -> None:
        """Whatever was set before may be set otherwise in `source`, which could not be read."""
        self.layer(dict.fromkeys(self.settings, UNKNOWN), source)

    def get(self, name: str) -> Any:
        """None also when the value is not known."""
        value = self.settings.get(name)
        return None if value is UNKNOWN else value

    def same(self, name: str, other: str) -> None:
        """Give a setting that the kind has under a name of its own its common name too."""
        if other in self.settings:
            self.put(name, self.settings[other], self.settings_from[other])

    def take(self, addresses: Iterable[str], *, default_host: str, default_port: int) -> None:
        for address in addresses:
            key = parse_bind(address.strip(), default_host=default_host, default_port=default_port)
            if key is None:
                self.binds_known = False
            elif key not in self.binds:
                self.binds.append(key)

    @property
    def settings_known(self) -> bool:
        return self.whole and not any(value is UNKNOWN for value in self.settings.values())

    def shown(self) -> tuple[dict[str, Any], dict[str, str]]:
        """Settings and their sources, the common ones first, None in the place of what is not known."""
        names = [*COMMON, *(name for name in self.settings if name not in COMMON)]
        return {name: self.get(name) for name in names}, dict(self.settings_from)


def unreadable() -> Reading:
    """The reading of an app server of which nothing but the kind is known."""
    return Reading(binds_known=False, binds_from="", whole=False)


def number(text: Any) -> Any:
    """A whole number, or a decimal one, or UNKNOWN: app servers refuse to start with anything else."""
    if isinstance(text, (bool, int, float)):
        return text
    try:
        return int(text, 0) if re.match(r"0[xo]", text) else int(text)
    except (TypeError, ValueError):
        pass
    try:
        return float(text)
    except (TypeError, ValueError):
        return UNKNOWN


def truth(text: str) -> bool:
    return str(text).strip().lower() in ("1", "true", "yes", "on", "t", "y")


def defaults(options: Iterable[Option]) -> dict[str, Any]:
    return {option.name: option.default for option in options}


def parse_options(words: Sequence[str], options: Iterable[Option]) -> list[tuple[str, Any]]:
    """(name, value) of the known options in their order: `-b X`, `-bX`, `--bind X`, `--bind=X`, `--preload`."""
    known = {word: option for option in options for word in option.words}
    found: list[tuple[str, Any]] = []
    waiting: Option | None = None
    for word in words:
        name, equals, value = word.partition("=")
        if waiting:
            found.append((waiting.name, waiting.convert(word)))
            waiting = None
        elif word in known:
            if known[word].flag:
                found.append((known[word].name, not word.startswith("--no-")))
            else:
                waiting = known[word]
        elif equals and name.startswith("--") and name in known:
            found.append((known[name].name, known[name].convert(value)))
        elif len(word) > 2 and word[1] != "-" and word[:2] in known and not known[word[:2]].flag:
            found.append((known[word[:2]].name, known[word[:2]].convert(word[2:].lstrip("="))))
    return found


def endpoint_key(host: str, port: str | int) -> EndpointKey:
    bare = host.strip("[]")
    return f"tcp:[{bare}]:{port}" if ":" in bare else f"tcp:{bare}:{port}"


def parse_bind(text: str, *, default_host: str, default_port: int) -> EndpointKey | None:
    """`HOST:PORT`, `[::]:PORT`, `:PORT`, `unix:PATH`, `/path`; None for fd://N and what holds a variable."""
    if "$" in text or text.startswith("fd://"):
        return None
    text = text[len("tcp://") :] if text.startswith("tcp://") else text
    if text.startswith("unix:"):
        path = text[len("unix:") :]
        return f"unix:{path[2:] if path.startswith('//') else path}"
    if text.startswith(("/", "@")):
        return f"unix:{text}"
    match = re.fullmatch(r"(?P<host>\[[^\]]+\]|[^:]*)(?::(?P<port>\d+))?", text)
    if not match:
        return None
    return endpoint_key(match["host"] or default_host, match["port"] or default_port)


def absolute(address: str, start: Start) -> str:
    """A unix socket's relative path from the directory that the app server starts in."""
    if not address.startswith("unix:") or address.startswith("unix:/"):
        return address
    path = start.path(address[len("unix:") :])
    return "$" if path is None else f"unix:{path}"


def read_text(path: Path | None, *, what: str, notes: Notes, required: bool = True) -> str | None:
    """A settings file; None, and said why, when it cannot be read. One that need not be there is empty then."""
    if path is None:
        notes.miss(what, "not known where they are")
        return None
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a FIFO would keep us waiting
            raise OSError("not a file")
        with path.open("rb") as file:
            text = file.read(_LARGEST_FILE + 1)
    except (OSError, ValueError) as error:
        if isinstance(error, FileNotFoundError) and not required:
            return ""
        notes.miss(f"{what} {path}", error)
        return None
    if len(text) > _LARGEST_FILE:
        notes.miss(f"{what} {path}", "larger than 1 MiB")
        return None
    return text.decode("utf-8", "replace")
