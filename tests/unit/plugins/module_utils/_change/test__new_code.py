# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Code that changed since a moment."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ansible_collections.sre.bad_gateway.plugins.module_utils._change import _new_code
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._new_code import newer_code

NEVER = 1e11


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("shop.py", True),
        ("shop/views/cart.py", True),
        ("lib/fast.so", True),
        ("static/logo.png", False),
        (".git/hooks/hook.py", False),
        ("shop/__pycache__/cart.cpython-312.pyc", False),
    ],
)
def test_code_counts_and_nothing_else(tmp_path: Path, name: str, found: bool) -> None:
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("")
    os.utime(path, (0, 0))  # as those do that copy files with their times
    assert newer_code(tmp_path, 0.0) == (path if found else None)
    assert newer_code(tmp_path, NEVER) is None


def test_what_is_not_there_is_not_newer(tmp_path: Path) -> None:
    (tmp_path / "gone.py").symlink_to("nowhere.py")
    assert newer_code(tmp_path, -1.0) == tmp_path / "gone.py"
    assert newer_code(tmp_path, 0.0) is None
    assert newer_code(tmp_path / "nowhere", -1.0) is None


def test_a_look_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_new_code, "_MOST_FILES", 1)
    for name in ("a/1.txt", "a/2.txt", "b/shop.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    assert newer_code(tmp_path, 0.0) is None
