# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How an app server is started, and which kind it is."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._systemd_text import split_words

_PYTHON = r"(?:\d|[.-]|$)"

#: Program names; what stands before a script is skipped. The kinds below the line are shown as `other`.
_PROGRAMS = (
    ("gunicorn", rf"gunicorn{_PYTHON}"),
    ("uwsgi", r"uwsgi(?:[_-]|$)"),
    ("uvicorn", r"uvicorn$"),
    ("php-fpm", r"php-fpm[\d.]*$"),
    ("puma", r"puma$"),
    ("node", r"(?:node|nodejs|npm|npx|yarn|pnpm)$"),
    # ---
    ("hypercorn", r"hypercorn$"),
    ("granian", r"granian$"),
    ("waitress", r"waitress(?:-serve)?$"),
)
KINDS = frozenset(["gunicorn", "uwsgi", "uvicorn", "php-fpm", "puma", "node"])

#: What masters and workers call themselves once they run; their arguments are gone then.
_TITLES = (
    ("gunicorn", r"gunicorn: (?:master|worker)"),
    ("php-fpm", r"php-fpm: (?:master|pool)"),
    ("puma", r"puma(?: \d|: )"),
)
_BEFORE_THE_PROGRAM = (
    r"(?:(?:python|pypy|ruby|perl|sh|bash|dash)[\d.]*|env|exec|nice|authbind|dumb-init|tini|bundle|poetry|pipenv|uv|run"
    r"|ddtrace-run|newrelic-admin|run-program|opentelemetry-instrument|&&|;)$"
)

_VARIABLE = r"\$(?:\{(?P<braced>\w+)\}|(?P<plain>\w+))"
_ALONE = r"\$\w+"


class Start(NamedTuple):
    """How an app server is started, whether it runs or not."""

    argv: tuple[str, ...]  # from the program on, without the interpreter before it
    environment: Mapping[str, str]
    directory: Path | None  # None: not known, and the environment neither
    source: str  # "ExecStart" or "command line"
    prefixes: tuple[Path, ...] = ()  # where the program is installed: "/usr", "/srv/venv"
    root: str = ""  # where its paths begin, when that is not the host's own root

    def path(self, text: str) -> Path | None:
        """A path as the app server would find it; None when that depends on a directory that is not known."""
        if self.directory is None and not text.startswith("/"):
            return None
        return Path(f"{self.root}{(self.directory or Path('/')) / text}")


def unwrapped(argv: Sequence[str]) -> Sequence[str]:
    """The words of `sh -c 'command'`; systemd's joined argv has lost the quotes."""
    if len(argv) > 2 and Path(argv[0]).name in ("sh", "bash", "dash") and argv[1] == "-c":
        return split_words(" ".join(argv[2:]).strip("'\""))
    return argv


def program_words(argv: Sequence[str]) -> tuple[str, ...]:
    """argv from the program on: without interpreters, their options, `-m`, wrappers and variable assignments."""
    words = list(unwrapped(argv))
    while words:
        name = Path(words[0].lstrip("@-:+!")).name
        if not (re.match(_BEFORE_THE_PROGRAM, name) or words[0].startswith("-") or "=" in words[0]):
            break
        words.pop(0)
    return tuple(words)


def prefixes_of(argv: Sequence[str], environment: Mapping[str, str]) -> tuple[Path, ...]:
    """Above the `bin` directories that the first words stand in; where none has a path, above those of PATH."""
    programs = [Path(word.lstrip("@-:+!")) for word in unwrapped(argv)[:4] if "/" in word]
    found = [program.parent.parent for program in programs if program.parent.name in ("bin", "sbin")]
    if not found:
        found = [Path(entry).parent for entry in environment.get("PATH", "/usr/bin").split(":") if entry]
    if Path("/usr") in found:
        found.append(Path("/usr/local"))  # where the system's Python has what pip installed
    return tuple(dict.fromkeys(found))


def is_title(argv: Sequence[str]) -> bool:
    """Whether a process has put a title of its own in the place of its arguments."""
    return bool(argv) and any(re.match(title, argv[0]) for _kind, title in _TITLES)


def program_of(argv: Sequence[str]) -> str | None:
    """The app server that these words start; None for what is no known one."""
    if not argv:
        return None
    for program, title in _TITLES:
        if re.match(title, argv[0]):
            return program
    words = program_words(argv)
    name = Path(words[0].lstrip("@-:+!")).name if words else ""
    return next((program for program, pattern in _PROGRAMS if re.match(pattern, name)), None)


def expanded(argv: Iterable[str], environment: Mapping[str, str]) -> tuple[str, ...]:
    """$NAME and ${NAME} as systemd and shells replace them; unknown ones stay, so that they can be told.

    What $NAME holds is as many words as it looks, when it stands alone.
    """

    def value(match: re.Match[str]) -> str:
        return environment.get(match["braced"] or match["plain"], match[0])

    found: list[str] = []
    for word in argv:
        text = re.sub(_VARIABLE, value, word)
        found += split_words(text) if re.fullmatch(_ALONE, word) else [text]
    return tuple(found)
