# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One value of an ini file: what changes, and that nothing else does."""

from __future__ import annotations

import pytest

from ansible_collections.sre.bad_gateway.plugins.module_utils._change._ini import IniError, sections, with_value


def changed(text: str, *, section: str = "uwsgi") -> str:
    return with_value(text, 9, section=section, names=("processes", "workers"), after=("socket",))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param("[uwsgi]\nprocesses = 2\n", "[uwsgi]\nprocesses = 9\n", id="plain"),
        pytest.param("[uwsgi]\r\n\tworkers=12\r\n", "[uwsgi]\r\n\tworkers=9\r\n", id="CRLF, indented, another name"),
        pytest.param("[uwsgi]\nprocesses =  2 ; two\n", "[uwsgi]\nprocesses =  9 ; two\n", id="a comment behind it"),
        pytest.param("[uwsgi]\nprocesses = 2;two\n", "[uwsgi]\nprocesses = 9;two\n", id="a comment close behind it"),
        pytest.param('[uwsgi]\nprocesses = "2"\n', '[uwsgi]\nprocesses = "9"\n', id="quoted"),
        pytest.param("[uwsgi]\nprocesses =\n", "[uwsgi]\nprocesses =9\n", id="no value"),
        pytest.param("[uwsgi]\nprocesses = %(cpus)", "[uwsgi]\nprocesses = 9", id="a placeholder, no line end"),
        pytest.param(
            "[uwsgi]\nprocesses = 2\nworkers = 3\n", "[uwsgi]\nprocesses = 2\nworkers = 9\n", id="the last one counts"
        ),
        pytest.param(
            "[a]\nprocesses = 1\n[uwsgi]\nprocesses = 2\n[b]\nprocesses = 3\n",
            "[a]\nprocesses = 1\n[uwsgi]\nprocesses = 9\n[b]\nprocesses = 3\n",
            id="other sections",
        ),
        pytest.param(
            "[uwsgi]\nprocesses = 2\n[b]\n[uwsgi]\nprocesses = 3\n",
            "[uwsgi]\nprocesses = 2\n[b]\n[uwsgi]\nprocesses = 9\n",
            id="a section in two pieces",
        ),
        pytest.param(
            "[uwsgi]\n;processes = 2\n#processes = 3\nprocesses = 4\n; processes = 5\n",
            "[uwsgi]\n;processes = 2\n#processes = 3\nprocesses = 9\n; processes = 5\n",
            id="comments are no settings",
        ),
        pytest.param("processes = 2\n[b]\n", "processes = 9\n[b]\n", id="an included file goes on in its section"),
        pytest.param(
            "[uwsgi]\nname = \xe9\x85\nworkers = 2\n", "[uwsgi]\nname = \xe9\x85\nworkers = 9\n", id="any byte"
        ),
    ],
)
def test_only_the_value_changes(before: str, after: str) -> None:
    assert changed(before) == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(
            "[uwsgi]\nsocket = :1\nchdir = /\n", "[uwsgi]\nsocket = :1\nprocesses = 9\nchdir = /\n", id="its neighbour"
        ),
        pytest.param(
            "[uwsgi]\nsocket = :1\n socket = :2\nchdir = /\n",
            "[uwsgi]\nsocket = :1\n socket = :2\n processes = 9\nchdir = /\n",
            id="the last of its neighbours",
        ),
        pytest.param(
            "[uwsgi]\r\n  socket=:1\r\n[b]\r\n",
            "[uwsgi]\r\n  socket=:1\r\n  processes=9\r\n[b]\r\n",
            id="written like it",
        ),
        pytest.param(
            "[uwsgi]\nsocket = :1", "[uwsgi]\nsocket = :1\nprocesses = 9", id="the file ends without a line end"
        ),
        pytest.param(
            "[b]\nsocket = :1\n[uwsgi]\nchdir = /\n\n[c]\nd = 1\n",
            "[b]\nsocket = :1\n[uwsgi]\nchdir = /\nprocesses = 9\n\n[c]\nd = 1\n",
            id="else the last of the section",
        ),
    ],
)
def test_one_line_comes_where_nothing_was_set(before: str, after: str) -> None:
    assert changed(before) == after


def test_a_section_that_is_not_there_is_not_made_up() -> None:
    with pytest.raises(IniError, match=r"\[uwsgi\] holds no setting that processes could stand beside"):
        changed("[b]\nsocket = :1\n")


def test_sections() -> None:
    assert sections("a = 1\n[x]\n;[y]\n [z] ; comment\r\n[x]\n") == ["x", "z"]
