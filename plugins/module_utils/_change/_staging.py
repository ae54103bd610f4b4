# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""New files shown in place of live ones: which mounts do it, worked out before any of them is made.

A file that exists is covered by its new contents. One that is to come, or to go, needs its directory covered: by one
that holds links to everything else of it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Mapping


@dataclass(frozen=True)
class Mount:
    """What is at `source` will be seen at `target` too."""

    source: str
    target: str


def staged(directory: Path, files: Mapping[str, bytes | None]) -> list[Mount]:
    """Write the new contents below `directory`, and say what to mount where, in this order. None: the file goes."""
    real = {Path(os.path.realpath(path)): content for path, content in files.items()}
    over = {path: content for path, content in real.items() if content is not None and path.exists()}
    mounts = [_cover(directory / f"file{number}", path, text) for number, (path, text) in enumerate(over.items())]
    parents = sorted({_existing_parent(path) for path in real if path not in over})
    for number, parent in enumerate(parents):  # a parent comes before what lies below it
        others = {path: text for path, text in real.items() if path not in over and _existing_parent(path) == parent}
        mounts += _cover_directory(directory / f"directory{number}", parent, others)
    return mounts


def _existing_parent(path: Path) -> Path:
    return next(parent for parent in path.parents if parent.is_dir())


def _cover(staging: Path, path: Path, content: bytes) -> Mount:
    staging.write_bytes(content)
    return Mount(str(staging), str(path))


def _cover_directory(staging: Path, directory: Path, files: Mapping[Path, bytes | None]) -> list[Mount]:
    original, cover = staging / "original", staging / "cover"
    original.mkdir(parents=True)
    cover.mkdir()
    mounts = [Mount(str(directory), str(original))]
    for entry in directory.iterdir():
        place = cover / entry.name
        if entry in files:
            continue
        if entry.is_symlink():
            place.symlink_to(os.readlink(entry))
        elif entry.is_dir():
            place.mkdir()
            mounts.append(Mount(str(entry), str(place)))
        else:
            place.symlink_to(original / entry.name)
    for path, content in files.items():
        if content is not None:
            place = cover / path.relative_to(directory)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
    return [*mounts, Mount(str(cover), str(directory))]
