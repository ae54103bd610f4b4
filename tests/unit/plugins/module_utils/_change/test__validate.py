# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.sre.bad_gateway.plugins.module_utils._change._validate import (
    Nginx,
    validate_live,
    validate_with,
)

# Stands for nginx: refuses a configuration that says "bad", and shows that it got its arguments.
BINARY = """#!/bin/sh
test "$1 $2 $4" = "-t -p -c" || exit 3
while read -r line; do case $line in *bad*) echo "[emerg] bad in $5:1" >&2; exit 1;; esac; done < "$5"
"""


@pytest.fixture
def nginx(tmp_path: Path) -> Nginx:
    binary = tmp_path / "nginx"
    binary.write_text(BINARY)
    binary.chmod(0o755)
    (tmp_path / "nginx.conf").write_text("good\n")
    config = str(tmp_path / "nginx.conf")
    return Nginx(id="nginx", binary=str(binary), config=config, prefix=str(tmp_path), pid=None, unit=None)


@pytest.mark.parametrize(("content", "ok"), [("good\n", True), ("bad\n", False)])
def test_the_live_configuration(nginx: Nginx, content: str, ok: bool) -> None:
    Path(nginx.config).write_text(content)
    verdict = validate_live(nginx)
    assert (verdict.ran, verdict.ok) == (True, ok)
    assert verdict.output == ("" if ok else f"[emerg] bad in {nginx.config}:1")


@pytest.mark.parametrize(("content", "ok"), [(b"good\n", True), (b"bad\n", False)])
def test_new_files_are_seen_by_nginx_alone(nginx: Nginx, tmp_path: Path, content: bytes, ok: bool) -> None:
    link = tmp_path / "link.conf"
    link.symlink_to("nginx.conf")
    verdict = validate_with(nginx, {str(link): content})
    if "unshare" in verdict.output:
        pytest.skip(verdict.output)
    assert verdict.ran
    assert verdict.ok == ok
    assert Path(nginx.config).read_text() == "good\n"


# Refuses a directory that does not hold what the first line of the configuration says.
LISTING = """#!/bin/sh
read -r wanted < "$5"
set -- "$(dirname "$5")"/sites/* "$(dirname "$5")"/sites/*/*
for one do test -f "$one" && found="$found $(basename "$one"):$(cat "$one")"; done
test "$found" = " $wanted" || { echo "[emerg]$found" >&2; exit 1; }
"""


def test_files_that_come_and_go_are_seen_by_nginx_alone(nginx: Nginx, tmp_path: Path) -> None:
    sites = tmp_path / "sites"
    (sites / "kept").mkdir(parents=True)
    for name in ("b", "gone", "kept/d", ".hidden"):
        (sites / name).write_text(name[-1:])
    (tmp_path / "x").write_text("x")
    (sites / "c").symlink_to("../x")
    Path(nginx.binary).write_text(LISTING)
    Path(nginx.config).write_text("a:new b:changed c:x d:new e:new\n")
    names = {"a": b"new", "b": b"changed", "gone": None, "kept/d": b"new", "made/e": b"new"}
    verdict = validate_with(nginx, {str(sites / name): content for name, content in names.items()})
    if "unshare" in verdict.output:
        pytest.skip(verdict.output)
    assert verdict.ok, verdict.output
    found = {str(path.relative_to(sites)) for path in sites.rglob("*") if not path.is_dir()}
    assert found == {"b", "gone", "kept/d", ".hidden", "c"}
    assert (sites / "b").read_text() == "b"


def test_what_cannot_be_shown_to_nginx_is_said(nginx: Nginx, tmp_path: Path) -> None:
    verdict = validate_with(nginx, {str(tmp_path / "nginx.conf" / "below-a-file"): b""})
    assert (verdict.ran, verdict.ok) == (False, False)
    assert "nginx.conf" in verdict.output or "unshare" in verdict.output


def test_a_missing_binary_is_said(nginx: Nginx) -> None:
    verdict = validate_live(Nginx(**{**nginx.__dict__, "binary": "/no/nginx"}))
    assert (verdict.ran, verdict.ok, verdict.output) == (False, False, "/no/nginx: No such file or directory")
