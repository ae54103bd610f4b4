# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.sre.bad_gateway.plugins.module_utils._change._errors import ConfigError
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._splice import (
    ArgumentEdit,
    Splice,
    edited,
    spliced,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._nginx._config import read_config, walk


@given(st.binary(), st.lists(st.tuples(st.integers(0, 50), st.integers(0, 9), st.binary(max_size=9)), max_size=5))
def test_only_the_named_bytes_change(source: bytes, raw: list[tuple[int, int, bytes]]) -> None:
    splices, expected, position = [], b"", 0
    for gap, length, replacement in raw:
        start, end = position + gap, position + gap + length
        if end > len(source):
            break
        splices.append(Splice(start=start, end=end, replacement=replacement))
        expected += source[position:start] + replacement
        position = end
    assert spliced(source, reversed(splices)) == expected + source[position:]


def test_overlapping_splices_are_refused() -> None:
    with pytest.raises(ValueError, match="overlapping"):
        spliced(b"abcd", [Splice(0, 2, b"x"), Splice(1, 3, b"y")])


INJECTED = {
    "what was meant": (b"http://b", "http://b", None),
    "another value than promised": (b"http://c", "http://b", "change more than it should"),
    "a second statement": (b"http://b; return 403", "http://b", "change more than it should"),
    "a broken file": (b"http://b }", "http://b", "could not be read again"),
}


@pytest.mark.parametrize(("replacement", "value", "message"), INJECTED.values(), ids=INJECTED.keys())
def test_nothing_but_the_edit_may_come_out_of_reading_again(
    tmp_path: Path, replacement: bytes, value: str, message: str | None
) -> None:
    (tmp_path / "nginx.conf").write_bytes(b"# \xe9\r\nlocation / { proxy_pass http://a; }")
    config = read_config("nginx.conf", prefix=str(tmp_path))
    token = next(one.args[0] for one in walk(config.directives) if one.name == "proxy_pass")
    splice = Splice(token.start, token.end, replacement)
    edit = ArgumentEdit(file=config.main, token=token, value=value, splice=splice)
    if message is None:
        assert edited(config, [edit]) == {config.main: b"# \xe9\r\nlocation / { proxy_pass http://b; }"}
    else:
        with pytest.raises(ConfigError, match=message):
            edited(config, [edit])
