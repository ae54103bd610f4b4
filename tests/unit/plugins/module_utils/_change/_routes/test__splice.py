# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.sre.bad_gateway.plugins.module_utils._change._routes._splice import Splice, spliced


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
