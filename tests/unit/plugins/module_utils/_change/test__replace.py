# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ansible_collections.sre.bad_gateway.plugins.module_utils._change import _replace


def replaced(path: Path, content: bytes) -> None:
    temporary = path.parent / ".temporary"
    _replace.stage(temporary, content, _replace.attributes(path))
    _replace.install(temporary, path)


def test_what_is_no_contents_stays(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"old")
    path.chmod(0o2604)
    os.setxattr(path, "user.note", b"kept")
    replaced(path, b"new")
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o7777 == 0o2604
    assert os.getxattr(path, "user.note") == b"kept"
    assert [one.name for one in tmp_path.iterdir()] == ["x"]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: nobody else may give files away")
def test_the_owner_stays(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"old")
    os.chown(path, 12345, 54321)
    replaced(path, b"new")
    assert (path.stat().st_uid, path.stat().st_gid) == (12345, 54321)


def test_directories_are_made_for_a_new_file_whatever_the_umask(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "x"
    assert _replace.missing_parents(path) == [tmp_path / "a", tmp_path / "a" / "b"]
    before = os.umask(0o077)
    try:
        replaced(path, b"new")
    finally:
        os.umask(before)
    assert path.read_bytes() == b"new"
    modes = [one.stat().st_mode & 0o777 for one in (path, path.parent, path.parent.parent)]
    assert modes == [0o644, 0o755, 0o755]


def test_only_an_empty_directory_goes(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "x").touch()
    for directory in (tmp_path / "a", tmp_path / "b", tmp_path / "c"):
        _replace.remove_empty(directory)
    assert [one.name for one in tmp_path.iterdir()] == ["b"]


def test_a_file_that_is_not_there_is_read_as_none_and_removed_in_silence(tmp_path: Path) -> None:
    _replace.remove(tmp_path / "x")
    assert _replace.read(tmp_path / "x") is None
    assert _replace.attributes(tmp_path / "x") is None
