# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from ansible_collections.sre.bad_gateway.plugins.module_utils._change import _recovery, _transaction
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._errors import (
    ChangeError,
    ConfigError,
    InterferenceError,
    ReloadError,
    WorseError,
    WriteError,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._transaction import Change, apply, check
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._validate import Nginx, Verdict
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._verify import Answer

YES, NO = Verdict(ok=True, output=""), Verdict(ok=False, output="[emerg] no")
UNASKED = Verdict(ok=False, ran=False, output="unshare: not permitted")


class World:
    """An nginx of which only the answers matter, and two files of its configuration."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.files = [directory / "a", directory / "b"]
        for file in self.files:
            file.write_bytes(b"old")
        self.namespace, self.live = YES, YES
        self.statuses: Iterable[int | None] = iter([200, 200])
        self.events: list[str] = []
        monkeypatch.setattr(_transaction, "validate_with", lambda _nginx, _files: self.namespace)
        monkeypatch.setattr(_transaction, "validate_live", lambda _nginx: self.live)
        monkeypatch.setattr(_transaction, "reload", self.reload)
        monkeypatch.setattr(_recovery, "resume", lambda nginx: self.reload(nginx) and [])
        monkeypatch.setattr(_transaction, "ask", lambda _question: Answer(status=next(iter(self.statuses)), detail=""))
        monkeypatch.setattr(_transaction, "_PAUSE", 0)

    def reload(self, _nginx: Nginx) -> bool:
        self.events.append(f"reload with {self.contents}")
        return True

    @property
    def contents(self) -> str:
        return " ".join(file.read_text() for file in self.files)

    @property
    def changes(self) -> list[Change]:
        nginx = Nginx(id="nginx", binary="nginx", config="/nginx.conf", prefix="/", pid=1, unit=None)
        old, new = ({str(file): text for file in self.files} for text in (b"old", b"new"))
        return [Change(nginx=nginx, old=old, new=new, questions={"the route": None})]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


def test_all_is_written_and_taken_up(world: World) -> None:
    world.statuses = iter([502, 200])
    outcome = apply(world.changes)
    assert (world.contents, world.events) == ("new new", ["reload with new new"])
    assert (outcome.validated, outcome.reloaded) == ("namespace", True)
    assert [(one.route, one.before.status, one.after.status) for one in outcome.verified] == [("the route", 502, 200)]


@pytest.mark.parametrize(("namespace", "validated"), [(YES, "namespace"), (UNASKED, "no")])
def test_check_mode_touches_nothing(world: World, namespace: Verdict, validated: str) -> None:
    world.namespace = namespace
    outcome = check(world.changes)
    assert (outcome.validated, outcome.why) == (validated, namespace.output)
    assert (world.contents, world.events) == ("old old", [])


@pytest.mark.parametrize(("live", "message"), [(YES, "does not accept"), (NO, "before this change already")])
def test_a_refused_configuration_is_never_written(world: World, live: Verdict, message: str) -> None:
    world.namespace, world.live = NO, live
    for attempt in (check, apply):
        with pytest.raises(ConfigError, match=message):
            attempt(world.changes)
    assert (world.contents, world.events) == ("old old", [])


def test_without_a_namespace_it_is_tested_in_place(world: World) -> None:
    world.namespace = UNASKED
    assert apply(world.changes).validated == "in place"
    assert world.contents == "new new"


def test_what_is_refused_in_place_is_put_back_without_a_reload(world: World) -> None:
    world.namespace, world.live = UNASKED, NO
    with pytest.raises(ConfigError):
        apply(world.changes)
    assert (world.contents, world.events) == ("old old", [])


def test_a_file_edited_meanwhile_stops_all(world: World) -> None:
    changes = world.changes
    world.files[1].write_bytes(b"mine")
    with pytest.raises(InterferenceError):
        apply(changes)
    assert (world.contents, world.events) == ("old mine", [])


WORSE: list[list[int | None]] = [[200, 502, 502], [200, None, None], [404, 500, 504]]


@pytest.mark.parametrize("statuses", WORSE)
def test_a_route_that_got_worse_puts_everything_back(world: World, statuses: list[int | None]) -> None:
    world.statuses = iter(statuses)
    with pytest.raises(WorseError, match="the route") as caught:
        apply(world.changes)
    assert caught.value.worse == ["the route"]
    assert (world.contents, world.events) == ("old old", ["reload with new new", "reload with old old"])


NOT_WORSE: list[list[int | None]] = [[502, 502], [None, 502], [200, 502, 200], [200, 404]]


@pytest.mark.parametrize("statuses", NOT_WORSE)
def test_a_route_that_did_not_get_worse_keeps_the_change(world: World, statuses: list[int | None]) -> None:
    world.statuses = iter(statuses)
    apply(world.changes)
    assert world.contents == "new new"


def test_a_reload_that_fails_puts_everything_back(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails_once(nginx: Nginx) -> bool:
        if world.reload(nginx) and len(world.events) == 1:
            raise ReloadError("no new workers")
        return True

    monkeypatch.setattr(_transaction, "reload", fails_once)
    with pytest.raises(ReloadError):
        apply(world.changes)
    assert (world.contents, world.events) == ("old old", ["reload with new new", "reload with old old"])


def test_what_cannot_be_put_back_is_named(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def edits(_nginx: Nginx) -> bool:
        world.files[1].write_bytes(b"mine")
        return True

    monkeypatch.setattr(_transaction, "reload", edits)
    world.statuses = iter([200, 502, 502])
    with pytest.raises(ChangeError, match=r"then 502 But not all could be put back: .*/b: somebody edited"):
        apply(world.changes)
    assert world.contents == "old mine"


def one_change(nginx: Nginx, path: Path, new: bytes | None) -> Change:
    old = path.read_bytes() if path.exists() else None
    return Change(nginx=nginx, old={str(path): old}, new={str(path): new}, questions={})


def test_a_link_that_leads_out_of_the_tree_is_refused_and_one_inside_is_followed(
    world: World, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    for name in ("sites-available", "sites-enabled"):
        (tmp_path / name).mkdir()
    outside = tmp_path_factory.mktemp("outside") / "x"
    inside = tmp_path / "sites-available" / "x"
    nginx = Nginx(id="n", binary="n", config=str(tmp_path / "nginx.conf"), prefix=str(tmp_path), pid=None, unit=None)
    for number, real in enumerate((outside, inside)):
        real.write_bytes(b"old")
        (tmp_path / "sites-enabled" / str(number)).symlink_to(real)
    out, ok = (one_change(nginx, tmp_path / "sites-enabled" / str(number), b"new") for number in range(2))
    for attempt in (check, apply):
        with pytest.raises(WriteError, match=f"sites-enabled/0: the link leads to {outside}, out of {tmp_path}"):
            attempt([ok, out])
    assert outside.read_bytes() == inside.read_bytes() == b"old"
    apply([ok])
    assert (tmp_path / "sites-enabled" / "1").is_symlink()
    assert inside.read_bytes() == b"new"


def test_two_nginx_may_share_a_file_that_both_want_the_same_of(world: World) -> None:
    nginx = world.changes[0].nginx
    shared, other = (one_change(nginx, world.files[0], content) for content in (b"new", b"other"))
    with pytest.raises(ChangeError, match="two changes want it to hold different things"):
        apply([shared, other])
    assert world.contents == "old old"
    apply([shared, shared])
    assert world.contents == "new old"
