# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where the values of variables lead."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.sre.bad_gateway.plugins.module_utils._nginx._config import read_config
from ansible_collections.sre.bad_gateway.plugins.module_utils._nginx._routes import endpoints, passes, routes
from ansible_collections.sre.bad_gateway.plugins.module_utils._nginx._variables import with_choices

HTTP = """
upstream blue { server 127.0.0.1:8001; server 127.0.0.1:8009 down; }
upstream green { server 127.0.0.1:8002; server unix:/run/green.sock backup; }
map $cookie_slot $slot { default blue; g green; }
map $host $pool { hostnames; default blue; shop.example green; include more.map; }
map $host $wild { default blue; *.example green; }
map $uri $secure { default https://10.0.0.1; }
map $uri $mixed { default https://10.0.0.1; /a http://10.0.0.2; }
split_clients $request_id $ab { 10% green; * blue; }
"""
BLUE, GREEN = ["tcp:127.0.0.1:8001"], ["tcp:127.0.0.1:8002", "unix:/run/green.sock"]

CASES = {
    "names of upstream blocks": ("proxy_pass http://$slot;", [*BLUE, *GREEN], "http"),
    "in braces, with a path": ("proxy_pass http://${slot}/x$uri;", [*BLUE, *GREEN], "http"),
    "the server's own name decides": ("proxy_pass http://$pool;", GREEN, "http"),
    "a key that is no plain name": ("proxy_pass http://$wild;", [*BLUE, *GREEN], "http"),
    "shares": ("proxy_pass http://$ab;", [*GREEN, *BLUE], "http"),
    "set in the server": ("set $a 127.0.0.1:9000; proxy_pass http://$a;", ["tcp:127.0.0.1:9000"], "http"),
    "set in a condition too": (
        "set $a 10.0.0.1; if ($arg_b) { set $a 10.0.0.2; } proxy_pass http://$a:81;",
        ["tcp:10.0.0.1:81", "tcp:10.0.0.2:81"],
        "http",
    ),
    "set as a whole": ("set $a http://unix:/run/a.sock:/x; proxy_pass $a;", ["unix:/run/a.sock"], "http"),
    "uwsgi": ("set $a unix:/run/a.sock; uwsgi_pass $a;", ["unix:/run/a.sock"], "uwsgi"),
    "the scheme is in the value": ("proxy_pass $secure;", ["tcp:10.0.0.1:443"], "https"),
    "two protocols": ("proxy_pass $mixed;", [], "http"),
    "a host name is for nginx's resolver": ("set $a app.internal; proxy_pass http://$a:80;", [], "http"),
    "made of another variable": ("set $a $http_x; proxy_pass http://$a;", [], "http"),
    "nowhere set": ("proxy_pass http://$http_x;", [], "http"),
    "empty": ("set $a ''; proxy_pass http://$a;", [], "http"),
    "two variables": ("set $a 10.0.0.1; proxy_pass http://$a:$arg_port;", [], "http"),
    "only the path": ("proxy_pass http://127.0.0.1:1$request_uri;", ["tcp:127.0.0.1:1"], "http"),
}


@pytest.mark.parametrize(("text", "keys", "protocol"), CASES.values(), ids=CASES)
def test_where_values_lead(tmp_path: Path, text: str, keys: list[str], protocol: str) -> None:
    (tmp_path / "more.map").write_text("other.example blue;\n")
    (tmp_path / "nginx.conf").write_text(
        f"http {{ {HTTP} server {{ server_name shop.example; location / {{ {text} }} }} }}"
    )
    config = read_config("nginx.conf", prefix=str(tmp_path))
    found = with_choices(config, passes(config))
    (route,) = routes(found)
    assert (route["endpoints"], route["upstream"], route["variables"]) == (keys, None, True)
    assert route["chosen"] is (bool(keys) and "request_uri" not in text)
    assert {one["protocol"] for one in endpoints(found)} <= {protocol}


@pytest.mark.parametrize("names", ["_", "shop.example *.shop.example", "~^shop", ""])
def test_a_server_for_many_names_may_get_any_value(tmp_path: Path, names: str) -> None:
    name = f"server_name {names};" if names else ""
    (tmp_path / "more.map").write_text("")
    (tmp_path / "nginx.conf").write_text(
        f"http {{ {HTTP} server {{ {name} location / {{ proxy_pass http://$pool; }} }} }}"
    )
    config = read_config("nginx.conf", prefix=str(tmp_path))
    (route,) = routes(with_choices(config, passes(config)))
    assert route["endpoints"] == [*BLUE, *GREEN]
