# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files for logrotate: what they hold, what logrotate has to say, and what is left to others. logrotate is played."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.sre.bad_gateway.plugins.module_utils._change import _log_rotation, _systemd
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._errors import ChangeError
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._log_rotation import (
    HEADER,
    LogRotationError,
    Logs,
    Outcome,
    Wish,
    apply,
    render,
)
from ansible_collections.sre.bad_gateway.plugins.module_utils._change._systemd import SystemdError
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe import _shared

#: Complains of every log that two files name, as the real one does, and of the word "bad".
LOGROTATE = r"""#!/bin/sh
for main; do :; done
directory=$(sed -n 's/^include //p' "$main")
for file in "$directory"/*; do
    for path in $(sed -n 's/^\(".*"\) {/\1/p' "$file" | tr -d '"'); do
        case " $seen " in *" $path "*) echo "error: ${file##*/}:1 duplicate log entry for $path" >&2 ;; esac
        seen="$seen $path"
    done
    grep -q bad- "$file" && echo "error: ${file##*/}:2 bad word" >&2
done
exit 0
"""


def logs(*paths: str, **changes: Any) -> Logs:
    values = {"name": "shop", "unit": "nginx.service", "signal": "USR1", "frequency": "daily", "keep": 14}
    return Logs(**{**values, "max_size": "100M", "as_user": None, "paths": paths or ("/srv/a.log",), **changes})


def wish(*groups: Logs, present: bool = True, journal: str = "") -> Wish:
    return Wish(logs=groups, journal_max_use=journal, rotate_when_used=0, present=present)


@pytest.fixture
def etc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A host's /etc, with a logrotate that rotates nginx's own logs already."""
    directory = tmp_path / "logrotate.d"
    directory.mkdir()
    (tmp_path / "logrotate.conf").write_text(f"weekly\ninclude {directory}\n")
    (directory / "nginx").write_text('"/var/log/nginx/error.log" {\n    daily\n}\n')
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "logrotate").write_text(LOGROTATE)
    (programs / "logrotate").chmod(0o755)
    monkeypatch.setattr(_shared, "SEARCH_PATH", f"{programs}:/usr/bin:/bin")
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    monkeypatch.setattr(_log_rotation, "DIRECTORY", directory)
    monkeypatch.setattr(_log_rotation, "MAIN", tmp_path / "logrotate.conf")
    monkeypatch.setattr(_log_rotation, "_ROOT_FILE", None)
    return directory


def test_a_file_for_logs_that_are_reopened() -> None:
    assert render(logs("/srv/a.log", "/srv/b/*.log", as_user="app www-data")) == (
        f'{HEADER}"/srv/a.log" "/srv/b/*.log" {{\n'
        "    daily\n    rotate 14\n    maxsize 100M\n    compress\n    delaycompress\n    missingok\n    notifempty\n"
        "    su app www-data\n    create\n    sharedscripts\n    postrotate\n"
        "        systemctl kill --kill-who=main --signal=USR1 -- nginx.service 2>/dev/null || true\n"
        "    endscript\n}\n"
    )


def test_a_file_for_logs_that_are_not() -> None:
    text = render(logs(unit=None))
    assert "    copytruncate\n" in text
    assert "postrotate" not in text


def test_files_come_and_go(etc: Path) -> None:
    mine = etc / "zz-bad-gateway-shop"
    checked = apply(wish(logs()), check_mode=True)
    assert (checked.changes, mine.exists()) == ([str(mine)], False)
    assert apply(wish(logs()), check_mode=False).edits == checked.edits
    assert mine.read_text() == render(logs())
    assert apply(wish(logs()), check_mode=False) == Outcome(edits=[], left=[], compressed=[], recovered=[])
    assert apply(wish(logs(), present=False), check_mode=False).changes == [str(mine)]
    assert not mine.exists()


def test_logs_that_others_rotate_are_left_to_them(etc: Path) -> None:
    outcome = apply(wish(logs("/var/log/nginx/error.log", "/srv/a.log")), check_mode=False)
    assert outcome.left == ["/var/log/nginx/error.log"]
    assert (etc / "zz-bad-gateway-shop").read_text() == render(logs("/srv/a.log"))
    nothing = apply(wish(logs("/var/log/nginx/error.log", name="nginx")), check_mode=False)
    assert (nothing.changes, nothing.left) == ([], ["/var/log/nginx/error.log"])


def test_what_logrotate_refuses_is_not_written(etc: Path) -> None:
    with pytest.raises(LogRotationError, match="nothing was changed: error: zz-bad-gateway-shop:2 bad word"):
        apply(wish(logs("/srv/bad-one.log")), check_mode=False)
    assert [path.name for path in etc.iterdir()] == ["nginx"]


def test_what_it_complained_of_before_is_not_held_against_us(etc: Path) -> None:
    (etc / "broken").write_text("bad-\n")
    assert apply(wish(logs()), check_mode=False).changes == [str(etc / "zz-bad-gateway-shop")]


def test_a_host_without_logrotate(etc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_shared, "SEARCH_PATH", "/nonexistent")
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(LogRotationError, match="install logrotate on this host first"):
        apply(wish(logs()), check_mode=False)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"name": "../x"}, "cannot name logs"),
        ({"paths": ("srv/a.log",)}, "no absolute path"),
        ({"paths": ('/srv/a" { }',)}, "no absolute path"),
        ({"paths": ("/srv/a\n/etc/shadow",)}, "no absolute path"),
        ({"max_size": "1T"}, "is no size"),
        ({"signal": "USR1; reboot"}, "is no signal"),
        ({"as_user": "root\n}"}, "is no user and group"),
        ({"unit": "nginx"}, "is no service's full name"),
        ({"unit": "a.service; reboot"}, "is no service's full name"),
    ],
)
def test_what_cannot_be_asked_for(changes: Any, said: str) -> None:
    with pytest.raises(LogRotationError, match=said):
        logs(**changes)


def test_an_unwritable_journal_is_put_back(etc: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(_log_rotation, "JOURNAL", tmp_path / "journald.conf.d" / "zz-bad-gateway.conf")

    def refuse(action: str, unit: str) -> None:
        raise SystemdError(f"systemctl {action} {unit}: no")

    monkeypatch.setattr(_systemd, "act", refuse)
    with pytest.raises(ChangeError, match=r"systemctl try-restart systemd-journald\.service: no"):
        apply(wish(logs(), journal="500M"), check_mode=False)
    assert [path.name for path in etc.iterdir()] == ["nginx"]
    assert not (tmp_path / "journald.conf.d").exists()
