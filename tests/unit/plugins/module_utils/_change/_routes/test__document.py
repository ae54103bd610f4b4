# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.sre.bad_gateway.plugins.module_utils._change._errors import ConfigError
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._routes._document import Document, require_same

INJECTED = {
    "what was meant": (b"http://b", None),
    "another value than promised": (b"http://c", "change more than it should"),
    "a second statement": (b"http://b; return 403", "change more than it should"),
    "a broken file": (b"http://b }", "could not be read again"),
}


@pytest.mark.parametrize(("written", "message"), INJECTED.values(), ids=INJECTED.keys())
def test_nothing_but_the_edit_may_come_out_of_reading_again(written: bytes, message: str | None) -> None:
    document = Document("x", b"# \xe9\r\nlocation / { proxy_pass http://a; }")
    document.at(document.source.index(b"proxy_pass")).words[1] = "http://b"
    if message is None:
        assert document.result() == b"# \xe9\r\nlocation / { proxy_pass http://b; }"
    else:
        with pytest.raises(ConfigError, match=message):
            require_same(document.source.replace(b"http://a", written), document.nodes, file="x")


def test_what_cannot_be_read_whole_is_refused_by_line() -> None:
    with pytest.raises(ConfigError, match=r'^x:2: unexpected "}"; mend the file first'):
        Document("x", b"a;\n}")
