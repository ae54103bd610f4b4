# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable

import pytest

from ansible_collections.sre.bad_gateway.plugins.module_utils._change._errors import ChangeError, RouteError
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._routes._entry import entry_of

Shape = Callable[..., str]

TARGETS = {
    "port": ("proxy_pass http://127.0.0.1:8001;", "127.0.0.1:8000", "proxy_pass http://127.0.0.1:8000;"),
    "the URI stays": ("proxy_pass http://a:1/x/;", "[::1]:8000", "proxy_pass http://[::1]:8000/x/;"),
    "to a socket": ("proxy_pass http://a:1;", "unix:/run/x.sock", "proxy_pass http://unix:/run/x.sock;"),
    "to a socket, with URI": ("proxy_pass http://a:1/x/;", "unix:/run/x", "proxy_pass http://unix:/run/x:/x/;"),
    "from a socket, with URI": ("proxy_pass http://unix:/x:/y;", "a:1", "proxy_pass http://a:1/y;"),
    "from socket to socket": ("proxy_pass http://unix:/x:/y;", "unix:/z", "proxy_pass http://unix:/z:/y;"),
    "quotes stay": ("proxy_pass  'https://a:1/'  ;", "b:2", "proxy_pass  'https://b:2/'  ;"),
    "scheme as written": ("proxy_pass HTTP://a:1;", "b:2", "proxy_pass HTTP://b:2;"),
    "no scheme": ("uwsgi_pass a:1;", "unix:/b", "uwsgi_pass unix:/b;"),
    "grpc": ("grpc_pass grpcs://a:1;", "b:2", "grpc_pass grpcs://b:2;"),
    "right already": ("proxy_pass http://a:80/;", "a:80", "proxy_pass http://a:80/;"),
    "right already, port left out": ("proxy_pass http://a/;", "a:80", "proxy_pass http://a/;"),
}


@pytest.mark.parametrize(("before", "pass_to", "after"), TARGETS.values(), ids=TARGETS.keys())
def test_only_the_address_of_a_target_changes(shape: Shape, before: str, pass_to: str, after: str) -> None:
    text = "# caf\xe9\r\nhttp {{ server {{\r\n\tlocation / {{ {} }} # end\r\n}} }}"
    entry = {"location": "/", "pass_to": pass_to}
    assert shape(text.format(before), entry) == text.format(after)


GROUP = (
    "http {{ upstream g {{ server {} ; server b:2 backup; }} server {{ location / {{ proxy_pass http://G/x; }} }} }}"
)


def test_through_an_upstream_block_its_server_changes(shape: Shape) -> None:
    entry = {"location": "/", "endpoint": "tcp:a:1", "pass_to": "unix:/x"}
    after = GROUP.format("unix:/x weight=2")
    assert shape(GROUP.format("a:1 weight=2"), entry) == after
    assert shape(after, entry) == after


REFUSED: dict[str, tuple[str, dict[str, Any], str]] = {
    "several servers": (GROUP.format("a:1"), {"location": "/"}, "has 2 servers.*: tcp:a:1, tcp:b:2"),
    "no such server": (
        GROUP.format("a:1"),
        {"location": "/", "endpoint": "tcp:z:1"},
        "no server tcp:z:1, only tcp:a:1",
    ),
    "variables": (
        "http { server { location / { proxy_pass http://$a; } } }",
        {"location": "/"},
        r"nginx.conf:1: proxy_pass http://\$a holds variables",
    ),
    "another endpoint": (
        "http { server { location / { proxy_pass http://a:1; } } }",
        {"location": "/", "endpoint": "tcp:b:1"},
        "leads to tcp:a:1, not to tcp:b:1",
    ),
    "several routes": (
        "http { server { location / { proxy_pass http://a:1; }\n location /x { proxy_pass http://a:1; } } }",
        {"file": "nginx.conf"},
        r"2 routes fit.*_ / \(.*nginx.conf:1\); _ /x \(.*nginx.conf:2\)",
    ),
    "a file that cannot be read whole": (
        "http { server { location / { proxy_pass http://a:1; } } }\n}",
        {"location": "/"},
        'nginx.conf:2: unexpected "}"; mend the file first',
    ),
}


@pytest.mark.parametrize(("text", "selectors", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_refused(
    shape: Shape, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, selectors: dict[str, Any], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ChangeError, match=message):
        shape(text, {"pass_to": "new:1", **selectors})


NO_ADDRESSES = [
    "",
    "a",
    "http://a:1",
    "a:1/x",
    "a:1;b",
    "a:1\nb",
    "a\0:1",
    "$a:1",
    "unix:",
    "unix:x",
    "unix:/a b",
    "unix:/a:b",
]


@pytest.mark.parametrize("pass_to", NO_ADDRESSES)
def test_what_is_no_address_is_refused(pass_to: str) -> None:
    with pytest.raises(RouteError, match=r"^pass_to "):
        entry_of({"location": "/", "pass_to": pass_to})


@pytest.mark.parametrize("given", [{}, {"endpoint": "tcp:a:1"}])
def test_a_server_that_is_right_already_is_no_edit(shape: Shape, given: dict[str, Any]) -> None:
    text = "http { upstream g { server a:1; } server { location / { proxy_pass http://g; } } }"
    assert shape(text, {"location": "/", "pass_to": "a:1", **given}) == text
