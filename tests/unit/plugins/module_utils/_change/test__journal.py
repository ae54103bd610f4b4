# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from ansible_collections.sre.bad_gateway.plugins.module_utils._change import _journal
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._errors import JournalError
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._journal import Edit, Plan, UnitAction, prepare
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._validate import Nginx

PLACES = {
    "root": (0, {}, "/var/lib/sre.bad_gateway"),
    "a user": (1000, {"HOME": "/home/me"}, "/home/me/.local/state/sre.bad_gateway"),
    "a user who says where": (1000, {"HOME": "/home/me", "XDG_STATE_HOME": "/s"}, "/s/sre.bad_gateway"),
    "a place that counts from nowhere": (
        1000,
        {"HOME": "/h", "XDG_STATE_HOME": "s"},
        "/h/.local/state/sre.bad_gateway",
    ),
}


@pytest.mark.parametrize(("uid", "environment", "place"), PLACES.values(), ids=PLACES.keys())
def test_where_changes_are_recorded(
    monkeypatch: pytest.MonkeyPatch, uid: int, environment: dict[str, str], place: str
) -> None:
    monkeypatch.undo()  # of what keeps the other tests away from there
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert _journal.state_directory() == Path(place)


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9")
    path.write_bytes(b"old")
    nginx = Nginx(id="n", binary="n", config="/c", prefix="/", pid=7, unit="nginx.service", directives="daemon off;")
    edits = [Edit(str(path), old=b"old", new=None, empty=(str(tmp_path),)), Edit(str(tmp_path / "a" / "b"), None, b"")]
    written = prepare(
        Plan("test", "r", edits, nginx=[nginx], units=[UnitAction("a.service", "restart")], takes_back=["x"])
    )
    (read,) = _journal.unfinished()
    assert read == written
    assert (read.before(0), read.before(1)) == (b"old", None)
    assert read.record.files[1].made == (str(tmp_path / "a"),)


def test_names_sort_by_time_though_the_clock_was_set_back(monkeypatch: pytest.MonkeyPatch) -> None:
    class Clock(datetime):
        back = timedelta()

        @classmethod
        def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
            cls.back += timedelta(days=1)
            return datetime(2026, 3, 1, tzinfo=timezone.utc) - cls.back

    monkeypatch.setattr(_journal, "datetime", Clock)
    ids = [prepare(Plan("test", "r", [])).record.id for _attempt in range(4)]
    assert ids == sorted(set(ids))


def test_what_was_never_begun_is_swept_away(state: Path) -> None:
    kept = prepare(Plan("test", "r", []))
    (state / "transactions" / ".new-x" / "before").mkdir(parents=True)
    _journal.sweep()
    assert [path.name for path in (state / "transactions").iterdir()] == [kept.record.id]


def test_a_user_without_a_home_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("no home")

    monkeypatch.undo()
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(Path, "home", homeless)
    with pytest.raises(JournalError, match="set XDG_STATE_HOME"):
        _journal.state_directory()
