# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.sre.bad_gateway.plugins.module_utils._change._errors import ConfigError, RouteError
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._routes._change_routes import change_routes
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._routes._entry import entry_of
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._validate import Nginx

TEXT = "# caf\xe9\nhttp {{ server {{ server_name {}; location / {{ proxy_pass http://a:1/; }} }} }}\n"


def nginx_with(directory: Path, name: str, *, binary: str = "/bin/true") -> Nginx:
    directory.mkdir()
    config = directory / "nginx.conf"
    config.write_bytes(TEXT.format(name).encode("latin-1"))
    return Nginx(id=name, binary=binary, config=str(config), prefix=str(directory), pid=None, unit=None)


@pytest.fixture
def pair(tmp_path: Path) -> list[Nginx]:
    return [nginx_with(tmp_path / "a", "a.example"), nginx_with(tmp_path / "b", "b.example")]


def test_check_mode_shows_what_would_be_written_and_writes_nothing(pair: list[Nginx]) -> None:
    result = change_routes(pair, [entry_of({"server_name": "b.example", "pass_to": "a:2"})], check_mode=True)
    shown = result.as_dict(diff=True)
    path = pair[1].config
    assert (shown["changed"], shown["files"]) == (True, [path])
    assert shown["changes"] == [f"{path}:2: http://a:1/ -> http://a:2/"]
    before = TEXT.format("b.example").replace("\xe9", "\\xe9")
    (diff,) = shown["diff"]
    assert diff == {
        "before": before,
        "after": before.replace("a:1", "a:2"),
        "before_header": path,
        "after_header": path,
    }
    assert b"a:1" in Path(path).read_bytes()
    assert [one.name for one in Path(path).parent.iterdir()] == ["nginx.conf"]
    assert "diff" not in result.as_dict(diff=False)


def test_several_nginx_change_together_and_a_second_time_nothing_does(pair: list[Nginx]) -> None:
    wanted = [entry_of({"server_name": nginx.id, "pass_to": "unix:/x"}) for nginx in pair]
    first = change_routes(pair, wanted, check_mode=False).as_dict(diff=False)
    assert (first["changed"], first["files"]) == (True, [nginx.config for nginx in pair])
    assert (first["reloaded"], first["verified"]) == (False, [])
    assert all(b"proxy_pass http://unix:/x:/;" in Path(nginx.config).read_bytes() for nginx in pair)
    second = change_routes(pair, wanted, check_mode=False).as_dict(diff=False)
    assert (second["changed"], second["changes"]) == (False, [])


def test_check_mode_shows_what_the_run_then_writes(pair: list[Nginx]) -> None:
    upstream = {"name": "app", "keepalive": 4}
    wanted = [
        entry_of({"server_name": nginx.id, "upstream": upstream, "error_pages": {"retry_after": 1}}) for nginx in pair
    ]
    looked = change_routes(pair, wanted, check_mode=True)
    assert looked.as_dict(diff=True)["diff"] == change_routes(pair, wanted, check_mode=False).as_dict(diff=True)["diff"]
    for nginx, change in zip(pair, looked.changes):
        assert Path(nginx.config).read_bytes() == change.new[nginx.config]


def test_a_refusal_by_one_nginx_leaves_the_other_alone(tmp_path: Path) -> None:
    pair = [nginx_with(tmp_path / "a", "a.example"), nginx_with(tmp_path / "b", "b.example", binary="/bin/false")]
    wanted = [entry_of({"server_name": nginx.id, "pass_to": "a:2"}) for nginx in pair]
    with pytest.raises(ConfigError, match=r"b\.example"):
        change_routes(pair, wanted, check_mode=False)
    assert all(b"a:1" in Path(nginx.config).read_bytes() for nginx in pair)


REFUSED = {
    "a route of none": (
        [{"server_name": "c.example"}],
        r"no route fits server_name c\.example\. Near ones: [ab]\.example / ",
    ),
    "a route of both": ([{"location": "/"}], "several nginx have such a route.*a/nginx.conf, .*b/nginx.conf"),
    "two wishes": (
        [{"server_name": "a.example"}, {"line": 2, "file": "a/nginx.conf", "pass_to": "a:3"}],
        "two of the routes",
    ),
}


@pytest.mark.parametrize(("wanted", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pair: list[Nginx], wanted: list[dict[str, str]], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    corrections = [entry_of({"pass_to": "a:2", **one}) for one in wanted]
    with pytest.raises(RouteError, match=message):
        change_routes(pair, corrections, check_mode=True)


def test_what_could_not_be_read_is_said_when_no_route_fits(pair: list[Nginx]) -> None:
    Path(pair[0].config).write_text("http {\n}}\n")
    with pytest.raises(RouteError, match=r'Not all could be read: .*a/nginx.conf:2: unexpected "}"'):
        change_routes(pair, [entry_of({"server_name": "c.example", "pass_to": "a:2"})], check_mode=True)
