# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path

import pytest

from lab._commands import LabError
from lab._images import apt_settings, cache_key, mirror_of, mmdebstrap_arguments, tag_of
from lab._trees import Entry

SCRIPT = Entry("setup.sh", 0o755, b"true\n")


def key(
    *,
    suite: str = "bookworm",
    packages: tuple[str, ...] = ("nginx",),
    nginx: str = "1.31.3",
    machine: str = "x86_64",
    entry: Entry = SCRIPT,
) -> str:
    return cache_key(suite=suite, packages=packages, nginx=nginx, machine=machine, entries=[entry])


def test_equal_inputs_share_an_image() -> None:
    assert key() == key()


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(key(suite="trixie"), id="suite"),
        pytest.param(key(packages=("nginx", "curl")), id="packages"),
        pytest.param(key(nginx="1.31.4"), id="nginx"),
        pytest.param(key(machine="aarch64"), id="machine"),
        pytest.param(key(entry=Entry("setup.sh", 0o755, b"false\n")), id="content"),
        pytest.param(key(entry=Entry("setup.sh", 0o644, b"true\n")), id="mode"),
        pytest.param(key(entry=Entry("root/setup.sh", 0o755, b"true\n")), id="path"),
    ],
)
def test_any_other_input_is_another_image(other: str) -> None:
    assert other != key()


def test_an_unknown_image_is_refused_by_name() -> None:
    with pytest.raises(LabError, match=r"debian11.*debian12, debian13"):
        tag_of("debian11")


@pytest.mark.parametrize(
    ("targets", "mirror"),
    [
        pytest.param("", "http://deb.debian.org/debian", id="apt knows nothing yet"),
        pytest.param("Debian|Debian|main|http://mirror.example/debian/\n", "http://mirror.example/debian", id="mirror"),
        pytest.param(
            "Debian|Debian-Security|main|http://mirror.example/security/\n"
            "Vendor|Vendor|main|http://vendor.example/apt/\n"
            "Debian|Debian|contrib|http://other.example/debian/\n",
            "http://deb.debian.org/debian",
            id="security, a vendor and contrib are not the archive",
        ),
        pytest.param("Ubuntu|Ubuntu|main|http://ubuntu.example/\n", "http://deb.debian.org/debian", id="Ubuntu"),
    ],
)
def test_mirror_of(targets: str, mirror: str) -> None:
    assert mirror_of(targets) == mirror


def test_apt_settings_keep_the_proxy_and_drop_the_wanted_indexes() -> None:
    dump = 'Acquire::http::Proxy "http://proxy.example";\nAcquire::IndexTargets::deb::X "";\n'
    assert apt_settings(dump) == 'Acquire::http::Proxy "http://proxy.example";\n'


def test_mmdebstrap_arguments_end_with_suite_archive_and_source() -> None:
    argv = mmdebstrap_arguments(
        suite="trixie",
        mirror="http://mirror.example/debian",
        settings=Path("/s/apt.conf"),
        overlay=Path("/s/overlay.tar"),
        archive=Path("/s/image.tar"),
    )
    assert argv[-3:-1] == ["trixie", "/s/image.tar"]
    assert argv[-1].endswith("] http://mirror.example/debian trixie main")
    assert "--customize-hook=tar-in /s/overlay.tar /" in argv
