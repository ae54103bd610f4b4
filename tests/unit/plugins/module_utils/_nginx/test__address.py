# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.sre.bad_gateway.plugins.module_utils._nginx._address import (
    AddressError,
    parse_address,
    redacted,
    split_target,
)

KEYS = {
    "127.0.0.1:8000": "tcp:127.0.0.1:8000",
    "[::1]:8000": "tcp:[::1]:8000",
    "app1:8000": "tcp:app1:8000",
    "app_1.internal:08000": "tcp:app_1.internal:8000",
    "app1": "tcp:app1:80",
    "[::1]": "tcp:[::1]:80",
    "unix:/run/x.sock": "unix:/run/x.sock",
    "UNIX:/run/a:b": "unix:/run/a:b",
}


@pytest.mark.parametrize(("text", "key"), KEYS.items())
def test_key(text: str, key: str) -> None:
    assert parse_address(text, default_port=80).key == key


REFUSED = {
    "": "no host",
    ":80": "no host",
    "app1": "no port",
    "app1:": "invalid port",
    "app1:0": "invalid port",
    "app1:65536": "invalid port",
    "app1:80/x": "invalid port",
    "::1": "no host",
    "a b:80": "invalid host",
    "http://app1:80": "invalid port",
    "app1\n:80": "invalid host",
    "$app:80": "invalid host",
    "unix:": "no path in the unix domain socket",
    "unix:/" + "x" * 107: "too long path in the unix domain socket",
}


@pytest.mark.parametrize(("text", "reason"), REFUSED.items())
def test_no_address(text: str, reason: str) -> None:
    with pytest.raises(AddressError, match=f"^{reason}$"):
        parse_address(text)


TARGETS = {
    "http": ("proxy_pass", "http://127.0.0.1:8000", ("http://", "127.0.0.1:8000", "", ""), "http", True),
    "URI": ("proxy_pass", "https://app/x/", ("https://", "app", "", "/x/"), "https", True),
    "query": ("proxy_pass", "http://app?x=/", ("http://", "app", "", "?x=/"), "http", True),
    "socket": ("proxy_pass", "HTTP://unix:/a.sock", ("HTTP://", "unix:/a.sock", "", ""), "http", True),
    "socket with URI": ("proxy_pass", "http://unix:/a.sock:/x", ("http://", "unix:/a.sock", ":", "/x"), "http", True),
    "socket with mark": ("proxy_pass", "http://unix:/a.sock:", ("http://", "unix:/a.sock", ":", ""), "http", True),
    "variable host": ("proxy_pass", "http://$app:80/x", ("http://", "$app:80", "", "/x"), "http", False),
    "variable URI": ("proxy_pass", "http://app$request_uri", ("http://", "app", "", "$request_uri"), "http", True),
    "variable path": ("proxy_pass", "http://app/$1", ("http://", "app", "", "/$1"), "http", True),
    "variable port": ("proxy_pass", "http://app:80$p/x", ("http://", "app:80", "", "$p/x"), "http", False),
    "variable socket": (
        "proxy_pass",
        "http://unix:/a$b.sock:/",
        ("http://", "unix:/a", "", "$b.sock:/"),
        "http",
        False,
    ),
    "fastcgi": ("fastcgi_pass", "unix:/run/php:8.sock", ("", "unix:/run/php:8.sock", "", ""), "fastcgi", True),
    "uwsgi": ("uwsgi_pass", "uwsgi://app:1", ("uwsgi://", "app:1", "", ""), "uwsgi", True),
    "uwsgi in TLS": ("uwsgi_pass", "suwsgi://app:1", ("suwsgi://", "app:1", "", ""), "uwsgi", True),
    "uwsgi, bare": ("uwsgi_pass", "app:1", ("", "app:1", "", ""), "uwsgi", True),
    "scgi": ("scgi_pass", "app:1", ("", "app:1", "", ""), "scgi", True),
    "grpc": ("grpc_pass", "app:1", ("", "app:1", "", ""), "grpc", True),
    "grpc in TLS": ("grpc_pass", "grpcs://[::1]:1", ("grpcs://", "[::1]:1", "", ""), "grpcs", True),
}


@pytest.mark.parametrize(("directive", "value", "parts", "protocol", "decided"), TARGETS.values(), ids=TARGETS.keys())
def test_target(directive: str, value: str, parts: tuple[str, ...], protocol: str, decided: bool) -> None:
    target = split_target(directive, value)
    assert (target.scheme, target.address, target.mark, target.uri) == parts
    assert "".join(parts) == value
    assert (target.protocol, target.decided, target.variables) == (protocol, decided, "$" in value)


def test_credentials_are_redacted() -> None:
    assert redacted("http://user:pw@app:80/x@y") == "http://***@app:80/x@y"
