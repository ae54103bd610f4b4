# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Edits of config files, byte for byte, and the proof that they change nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Iterable, Mapping

from ansible_collections.sre.bad_gateway.plugins.module_utils._change._errors import ConfigError
from ansible_collections.sre.bad_gateway.plugins.module_utils._nginx._config import Config, Directive, read_config, walk
from ansible_collections.sre.bad_gateway.plugins.module_utils._nginx._lexer import Token


@dataclass(frozen=True)
class Splice:
    """Bytes `start` to `end` give way to `replacement`."""

    start: int
    end: int
    replacement: bytes


@dataclass(frozen=True)
class ArgumentEdit:
    """One word of one statement gets another value."""

    file: str
    token: Token
    value: str  # as nginx shall read it
    splice: Splice


def spliced(source: bytes, splices: Iterable[Splice]) -> bytes:
    """Apply splices; they may not overlap."""
    ordered = sorted(splices, key=lambda splice: splice.start)
    for before, after in zip(ordered, ordered[1:]):
        if after.start < before.end:
            raise ValueError(f"overlapping splices at byte {after.start}")
    for splice in reversed(ordered):
        source = source[: splice.start] + splice.replacement + source[splice.end :]
    return source


def edited(config: Config, edits: Iterable[ArgumentEdit]) -> dict[str, bytes]:
    """The new bytes of every file that changes; ConfigError unless exactly the edits come out of reading them again."""
    by_file: dict[str, dict[int, ArgumentEdit]] = {}
    for edit in edits:
        by_file.setdefault(edit.file, {})[edit.token.start] = edit
    new = {
        file: spliced(config.sources[file], [edit.splice for edit in found.values()]) for file, found in by_file.items()
    }
    again = read_config(config.main, prefix=config.prefix, overlay=new)
    if again.messages != config.messages:
        raise ConfigError(f"{_places(by_file)}: the edited file could not be read again; nothing was written")
    expected = [_words(directive, by_file.get(directive.file, {})) for directive in walk(config.directives)]
    if [_words(directive, {}) for directive in walk(again.directives)] != expected:
        raise ConfigError(f"{_places(by_file)}: the edit would change more than it should; nothing was written")
    return new


def _words(directive: Directive, edits: Mapping[int, ArgumentEdit]) -> tuple[str, int, list[str]]:
    words = [
        edits[token.start].value if token.start in edits else token.value for token in (directive.name, *directive.args)
    ]
    return directive.file, directive.line, words


def _places(by_file: Mapping[str, Mapping[int, ArgumentEdit]]) -> str:
    return ", ".join(f"{file}:{edit.token.line}" for file, edits in by_file.items() for edit in edits.values())
