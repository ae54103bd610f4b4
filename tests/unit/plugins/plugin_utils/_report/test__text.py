# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Words that all reports share."""

from __future__ import annotations

import pytest

from ansible_collections.sre.bad_gateway.plugins.plugin_utils._report._text import code, markdown, plain, verdict
from ansible_collections.sre.bad_gateway.tests.unit.plugins.plugin_utils._report._diagnoses import broken, healthy

PLAIN = [("a\nb\t c", "a b c"), ("\x1b[31m", "\ufffd[31m"), ("\u202eevil", "\ufffdevil"), ("ä €", "ä €")]
MARKDOWN = [
    ("**a** _b_", r"\*\*a\*\* \_b\_"),
    ("proxy_pass and _x or y_", r"proxy_pass and \_x or y\_"),
    ("a | b", r"a \| b"),
    ("<script>", r"\<script\>"),
    ("[x](http://evil)", r"\[x\](http\://evil)"),
    ("see www.evil", r"see www\.evil"),
    ("@team #1 &amp; ~~x~~ !", r"\@team \#1 \&amp; \~\~x\~\~ \!"),
    ("a\n# b", r"a \# b"),
]
CODE = [
    ("a", "`a`"),
    ("a`b", "``a`b``"),
    ("`a", "`` `a ``"),
    ("a\nb", "`a b`"),
    ("", "` `"),
    ("a``b`", "``` a``b` ```"),
]


@pytest.mark.parametrize(("text", "expected"), PLAIN)
def test_plain(text: str, expected: str) -> None:
    assert plain(text) == expected


@pytest.mark.parametrize(("text", "expected"), MARKDOWN)
def test_markdown(text: str, expected: str) -> None:
    assert markdown(text) == expected


@pytest.mark.parametrize(("text", "expected"), CODE)
def test_code(text: str, expected: str) -> None:
    assert code(text) == expected


def test_the_verdict() -> None:
    assert verdict(healthy()) == "no findings on 2 hosts"
    assert verdict(broken()) == "2 outages on 2 of 3 hosts; 1 host could not be looked at: db1"
