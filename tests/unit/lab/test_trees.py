# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from lab._commands import LabError
from lab._trees import Entry, enabling_link, entries_of, lay_over, tar_of


def test_entries_of_reads_files_in_order_with_their_executable_bit(tmp_path: Path) -> None:
    (tmp_path / "b").write_bytes(b"2")
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.sh").write_bytes(b"1")
    (tmp_path / "a" / "x.sh").chmod(0o700)
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "x.pyc").touch()
    assert entries_of(tmp_path) == [Entry("a/x.sh", 0o755, b"1"), Entry("b", 0o644, b"2")]


@pytest.mark.parametrize(
    ("shipped", "target"),
    [(["etc/systemd/system/a.service"], "/etc/systemd/system/a.service"), ([], "/lib/systemd/system/a.service")],
)
def test_enabling_link_points_at_the_unit_in_force(shipped: list[str], target: str) -> None:
    link = enabling_link("a.service", shipped)
    assert (link.path, link.link) == ("etc/systemd/system/multi-user.target.wants/a.service", target)


def test_tar_of_carries_content_mode_and_links_and_no_date() -> None:
    archive = tar_of([Entry("etc/a", 0o600, b"text"), Entry("etc/b", 0o777, link="/etc/a")])
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        plain, link = opened.getmembers()
        content = opened.extractfile(plain)
        assert content is not None
        assert (content.read(), plain.mode, plain.mtime, plain.uid) == (b"text", 0o600, 0, 0)
        assert link.linkname == "/etc/a"


def test_lay_over_replaces_files_and_links(tmp_path: Path) -> None:
    (tmp_path / "old").write_text("old")
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "a").symlink_to(tmp_path / "old")
    lay_over(tmp_path, [Entry("etc/a", 0o640, b"new"), Entry("etc/d/b", 0o777, link="/etc/a")])
    assert (tmp_path / "old").read_text() == "old"
    assert (tmp_path / "etc" / "a").read_text() == "new"
    assert (tmp_path / "etc" / "a").stat().st_mode & 0o777 == 0o640
    assert str((tmp_path / "etc" / "d" / "b").readlink()) == "/etc/a"


def test_lay_over_never_leaves_the_host_through_an_absolute_link(tmp_path: Path) -> None:
    host, machine = tmp_path / "host", tmp_path / "machine"
    host.mkdir()
    machine.mkdir()
    (host / "run").symlink_to(machine)
    with pytest.raises(LabError, match="leads out"):
        lay_over(host, [Entry("run/a", 0o644, b"x")])
    assert list(machine.iterdir()) == []
