# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ansible_collections.sre.bad_gateway.plugins.module_utils._change._errors import InterferenceError, WriteError
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._replace import replace


def test_a_link_stays_a_link_and_what_is_no_contents_stays(tmp_path: Path) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    real.write_bytes(b"old")
    real.chmod(0o2604)
    os.setxattr(real, "user.note", b"kept")
    link.symlink_to("real")
    replace(str(link), old=b"old", new=b"new")
    assert link.is_symlink()
    assert real.read_bytes() == b"new"
    assert real.stat().st_mode & 0o7777 == 0o2604
    assert os.getxattr(real, "user.note") == b"kept"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "real"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_the_owner_stays(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"old")
    os.chown(path, 12345, 54321)
    replace(str(path), old=b"old", new=b"new")
    assert (path.stat().st_uid, path.stat().st_gid) == (12345, 54321)


def test_a_file_that_somebody_edited_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"edited")
    with pytest.raises(InterferenceError, match="somebody edited"):
        replace(str(path), old=b"old", new=b"new")
    assert path.read_bytes() == b"edited"


def test_what_cannot_be_kept_stops_the_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"old")

    def denied(_handle: int, _uid: int, _gid: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "fchown", denied)
    with pytest.raises(WriteError, match="x: Operation not permitted"):
        replace(str(path), old=b"old", new=b"new")
    assert [(one.name, one.read_bytes()) for one in tmp_path.iterdir()] == [("x", b"old")]
