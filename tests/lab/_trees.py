# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files on their way to a host: read from a directory of the lab, laid over a tree or carried as a tar archive."""

from __future__ import annotations

import io
import stat
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ._commands import LabError


@dataclass(frozen=True)
class Entry:
    """A file, or a symbolic link when `link` is set. The path is relative to the host's root."""

    path: str
    mode: int
    content: bytes = b""
    link: str = ""


def entries_of(directory: Path) -> list[Entry]:
    """Every file below the directory, in a stable order. Of the mode only `executable` counts, as in git."""
    return [
        Entry(str(path.relative_to(directory)), _mode(path), path.read_bytes())
        for path in sorted(directory.rglob("*"))
        if path.is_file() and path.parent.name != "__pycache__"
    ]


def _mode(path: Path) -> int:
    return 0o755 if path.stat().st_mode & stat.S_IXUSR else 0o644


def enabling_link(unit: str, shipped: Iterable[str]) -> Entry:
    """What `systemctl enable` does for a unit of multi-user.target, so that the host's first boot starts it."""
    own = f"etc/systemd/system/{unit}"
    target = f"/{own}" if own in shipped else f"/lib/systemd/system/{unit}"
    return Entry(f"etc/systemd/system/multi-user.target.wants/{unit}", 0o777, link=target)


def tar_of(entries: Iterable[Entry]) -> bytes:
    """An archive in which everything belongs to root and nothing has a date, so that it depends on content only."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for entry in entries:
            info = tarfile.TarInfo(entry.path)
            info.mode, info.size = entry.mode, len(entry.content)
            if entry.link:
                info.type, info.linkname = tarfile.SYMTYPE, entry.link
            archive.addfile(info, io.BytesIO(entry.content))
    return buffer.getvalue()


def lay_over(root: Path, entries: Iterable[Entry]) -> None:
    """Write the entries below a host's root that is mounted here, readable for all whatever our umask is."""
    for entry in entries:
        path = root / entry.path
        _make_directory(path.parent, root)
        path.unlink(missing_ok=True)
        if entry.link:
            path.symlink_to(entry.link)
        else:
            path.write_bytes(entry.content)
            path.chmod(entry.mode)


def _make_directory(directory: Path, root: Path) -> None:
    # An absolute link in the host's tree, /var/run for one, would lead out of it, into this machine's own.
    if root.resolve() not in [directory.resolve(), *directory.resolve().parents]:
        raise LabError(f"{directory} leads out of {root}")
    if not directory.exists():
        _make_directory(directory.parent, root)
        directory.mkdir()
        directory.chmod(0o755)
