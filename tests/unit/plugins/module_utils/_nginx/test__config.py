# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path

import crossplane
import pytest

from ansible_collections.sre.bad_gateway.plugins.module_utils._nginx._config import Config, read_config, walk


def written(directory: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return directory


def statements(config: Config) -> list[tuple[str, ...]]:
    return [(one.name, *one.args) for one in walk(config.directives)]


def test_includes_stand_in_place_each_time(tmp_path: Path) -> None:
    files = {"nginx.conf": "a; include s.conf; b { include s.conf; include d/*.conf; } c;", "s.conf": "s 1;"}
    config = read_config("nginx.conf", prefix=str(written(tmp_path, {**files, "d/2.conf": "y;", "d/1.conf": "x;"})))
    assert statements(config) == [("a",), ("s", "1"), ("b",), ("s", "1"), ("x",), ("y",), ("c",)]
    assert [Path(one.file).name for one in walk(config.directives)] == [
        "nginx.conf", "s.conf", "nginx.conf", "s.conf", "1.conf", "2.conf", "nginx.conf",
    ]  # fmt: skip
    assert config.whole


def test_includes_of_included_files_are_relative_to_the_main_file(tmp_path: Path) -> None:
    written(tmp_path, {"conf/nginx.conf": "include d/a.conf;", "conf/d/a.conf": "include b.conf;", "conf/b.conf": "b;"})
    assert statements(read_config("conf/nginx.conf", prefix=str(tmp_path))) == [("b",)]


UNREADABLE = {
    "a missing include": ({"nginx.conf": "a;\ninclude no.conf;\nb;"}, "nginx.conf", 2, ["a", "b"]),
    "an include of itself": ({"nginx.conf": "a;\ninclude nginx.conf;\nb;"}, "nginx.conf", 2, ["a", "b"]),
    "a broken file": (
        {"nginx.conf": "a; include x.conf; b;", "x.conf": "c; d {\n e; f }\n g;"},
        "x.conf",
        2,
        ["a", "c", "d", "e", "b"],
    ),
    "no main file": ({}, "nginx.conf", None, []),
}


@pytest.mark.parametrize(("files", "file", "line", "names"), UNREADABLE.values(), ids=UNREADABLE.keys())
def test_what_cannot_be_read_is_said_and_the_rest_is_there(
    tmp_path: Path, files: dict[str, str], file: str, line: int | None, names: list[str]
) -> None:
    config = read_config("nginx.conf", prefix=str(written(tmp_path, files)))
    assert [one.name for one in walk(config.directives)] == names
    assert [(message["file"], message["line"]) for message in config.messages] == [(str(tmp_path / file), line)]
    assert not config.whole


def test_an_overlay_is_read_instead_of_the_file(tmp_path: Path) -> None:
    written(tmp_path, {"nginx.conf": "include x.conf;", "x.conf": "a 1;"})
    overlay = {str(tmp_path / "x.conf"): b"a 2;"}
    assert statements(read_config("nginx.conf", prefix=str(tmp_path), overlay=overlay)) == [("a", "2")]
    assert (tmp_path / "x.conf").read_text() == "a 1;"


def test_the_tree_is_crossplanes(tmp_path: Path) -> None:
    text = (
        "user a;\nhttp {\n if ($x = \"y\") { return 403; }\n map $a $b { default ''; '' 1; ~^(a|b)$ \"c d\"; }\n"
        " server { location ~ \\.php$ { fastcgi_pass unix:/x; } rewrite_by_lua_block { if x then return {} end } }\n}\n"
    )
    written(tmp_path, {"nginx.conf": text})
    payload = crossplane.parse(str(tmp_path / "nginx.conf"), combine=True, check_ctx=False, check_args=False)

    def flat(block: list[dict[str, object]]) -> list[tuple[object, ...]]:
        found: list[tuple[object, ...]] = []
        for one in block:
            found += [(one["line"], one["directive"], *one["args"]), *flat(one.get("block", []))]  # type: ignore[misc,arg-type]
        return found

    config = read_config("nginx.conf", prefix=str(tmp_path))
    assert [(one.line, one.name, *one.args) for one in walk(config.directives)] == flat(payload["config"][0]["parsed"])
    for one in walk(config.directives):
        for word in (one.name, *one.args):
            raw = text.encode()[word.start : word.end].decode()
            assert raw == (f"{raw[0]}{word}{raw[0]}" if word.quoted and raw[:1] in ("'", '"') else word)
