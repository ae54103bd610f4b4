# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""`php-fpm --test` of settings that are not in place yet."""

from __future__ import annotations

import glob
import re
import tempfile
from pathlib import Path
from typing import Iterator, Mapping, Sequence

from ansible_collections.sre.bad_gateway.plugins.module_utils._change._worker_pools import CapacityError
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe import _shared

_INCLUDE = re.compile(r"[ \t]*include[ \t]*=[ \t]*[\"']?(?P<pattern>[^\s;\"']+)")
_LINE = re.compile(r"[^\n]+\n?")
_DEEPEST = 8
_SECONDS = 30


def require_valid(argv: Sequence[str], main: Path, changed: Mapping[str, str]) -> None:
    """Let PHP-FPM judge all of its settings with those texts in the place of files; CapacityError says what it says.

    It reads one file that has in it what is included, at the place where it is included.
    """
    with tempfile.TemporaryDirectory(prefix="bad-gateway-") as directory:
        whole = Path(directory, main.name)
        whole.write_bytes("".join(_lines(main, changed, depth=0)).encode("latin-1"))
        # Of two files it reads the last one that is named.
        answer = _shared.run([*argv, "--test", "--fpm-config", str(whole)], seconds=_SECONDS)
    if answer.status is None:
        raise CapacityError(f"{main}: {answer.why}; it could not be tested, so nothing was changed")
    if answer.status != 0:
        said = (answer.stdout + answer.stderr).replace(str(whole), str(main)).strip()
        raise CapacityError(f"{main}: PHP-FPM does not accept it, nothing was changed: {said}")


def _lines(path: Path, changed: Mapping[str, str], *, depth: int) -> Iterator[str]:
    text = changed.get(str(path))
    for line in _LINE.findall(path.read_bytes().decode("latin-1") if text is None else text):
        include = _INCLUDE.match(line)
        if include and depth < _DEEPEST:
            for file in sorted(glob.glob(include["pattern"])):  # noqa: PTH207  # absolute
                yield from _lines(Path(file), changed, depth=depth + 1)
        else:
            yield line if line.endswith("\n") else f"{line}\n"
