# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Code that no worker has loaded yet: nobody has seen it work, and a worker that cannot load it ends its gunicorn."""

from __future__ import annotations

import os
from pathlib import Path

_KINDS = (".py", ".so")
#: What a look at an app's directory may cost.
_MOST_FILES = 50000


def newer_code(directory: Path, since: float) -> Path | None:
    """A file below the directory that changed after a moment, in seconds since the epoch."""
    seen = 0
    for parent, directories, names in os.walk(directory):
        directories[:] = sorted(name for name in directories if not name.startswith("."))
        for name in sorted(names):
            path = Path(parent, name)
            if path.suffix in _KINDS and _changed(path) > since:
                return path
        seen += len(names)
        if seen > _MOST_FILES:
            break
    return None


def _changed(path: Path) -> float:
    """Not when it was written, which those who copy it may set."""
    try:
        return path.stat().st_ctime
    except OSError:
        return 0.0
