# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is made of journalctl's answer, and of none."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.sre.bad_gateway.plugins.module_utils._observation import Journal, Unit
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._logs import _journal
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._shared import Notes, Ran, run
from ansible_collections.sre.bad_gateway.plugins.module_utils._observe._units import typed
from ansible_collections.sre.bad_gateway.tests.unit.plugins.module_utils._observe._logs._journalctl import (
    NOW,
    Fake,
    answer,
    printed,
)


def unit(name: str, **properties: str) -> Unit:
    return typed({"Id": name, "ActiveState": "active", "Result": "success", **properties}, environment={}, argv=())


def read(monkeypatch: pytest.MonkeyPatch, fake: Fake, *units: Unit, notes: Notes) -> dict[str, Journal]:
    monkeypatch.setattr(_journal, "run", fake)
    return {each["unit"]: each for each in _journal.read_journals(units, logs=(), since=NOW - 86400, notes=notes)}


def test_lines_go_to_the_units_that_they_are_about(monkeypatch: pytest.MonkeyPatch) -> None:
    newest_first = answer(
        printed("WORKER TIMEOUT (pid:155)", seconds_ago=1),
        printed("shop.service: Failed with result 'oom-kill'.", _SYSTEMD_UNIT="init.scope", UNIT="shop.service"),
        printed("Out of memory: Killed process 9 (node) total-vm:1kB", _TRANSPORT="kernel", _SYSTEMD_UNIT=None),
        printed("WORKER TIMEOUT (pid:154)", seconds_ago=3600),
        printed("WORKER TIMEOUT (pid:1)", _SYSTEMD_UNIT="other.service"),
    )
    notes = Notes()
    found = read(monkeypatch, Fake(newest_first), unit("shop.service"), notes=notes)
    assert list(found) == ["shop.service", "kernel"]
    assert [(one["signature"], one["count"]) for one in found["shop.service"]["events"]] == [
        ("gunicorn_worker_timeout", 2),
        ("systemd_failed_result", 1),
    ]
    timeouts = found["shop.service"]["events"][0]
    assert (timeouts["first"], timeouts["last"]) == tuple(
        time.strftime("%Y/%m/%d %H:%M:%S", time.localtime(NOW - ago)) for ago in (3600, 1)
    )
    assert [(one["signature"], one["details"]) for one in found["kernel"]["events"]] == [
        ("kernel_oom_killed", {"node": 1})
    ]
    assert notes.entries == []


def test_a_traceback_counts_by_what_was_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [
        printed("Traceback (most recent call last):"),
        printed("TypeError: of another process", _PID="121"),
        printed("ImportError: cannot import password=hunter2"),
        printed("ValueError: outside of any traceback"),
    ]
    found = read(monkeypatch, Fake(answer(*reversed(lines))), unit("shop.service"), notes=Notes())
    (event,) = found["shop.service"]["events"]
    assert (event["signature"], event["count"], event["details"]) == (
        "python_traceback",
        1,
        {"ImportError: cannot import password=***": 1},
    )
    assert "hunter2" not in json.dumps(found)


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ([87, 79, 82, 75, 69, 82, 32, 255], "WORKER \ufffd"),
        (["first", "second"], "first"),
        (None, ""),
    ],
)
def test_messages_that_are_no_text(message: Any, text: str) -> None:
    (entry,) = _journal.entries(printed(message))
    assert entry.message == text


def test_lines_that_are_cut_or_no_json_are_left_out() -> None:
    whole = printed("x")
    assert len(list(_journal.entries(f"-- No entries --\n{whole}\n[1]\n{{}}\n{whole[:40]}"))) == 1


def test_one_call_for_a_host_without_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = Fake(answer(status=1))
    found = read(monkeypatch, fake, unit("nginx.service"), unit("shop.service"), notes=Notes())
    assert [(one["available"], one["lines"], one["tail"]) for one in found.values()] == [(True, 0, [])] * 3
    (argv,) = fake.asked
    assert {"--reverse", "--lines=10000", f"--since=@{int(NOW - 86400)}", "UNIT=shop.service"} <= set(argv)
    assert argv[-1] == "_TRANSPORT=kernel"


@pytest.mark.parametrize(
    ("properties", "asked"),
    [
        ({"ActiveState": "failed"}, True),
        ({"ActiveState": "activating"}, True),
        ({"NRestarts": "3"}, True),
        ({"Result": "oom-kill"}, True),
        ({}, False),
    ],
)
def test_last_words_of_units_in_trouble_only(
    properties: dict[str, str], asked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = Fake(answer(), answer(printed("second token=abc"), printed("first")))
    found = read(monkeypatch, fake, unit("shop.service", **properties), notes=Notes())
    assert found["shop.service"]["tail"] == (["first", "second token=***"] if asked else [])
    assert len(fake.asked) == (2 if asked else 1)


def test_last_words_of_all_units_in_one_call(monkeypatch: pytest.MonkeyPatch) -> None:
    noisy = [printed(f"noisy {number}") for number in range(30)]
    fake = Fake(answer(), answer(*noisy, printed("quiet", _SYSTEMD_UNIT="blog.service")))
    failed = [unit(name, ActiveState="failed") for name in ("shop.service", "blog.service")]
    found = read(monkeypatch, fake, *failed, notes=Notes())
    assert found["shop.service"]["tail"] == [f"noisy {number}" for number in range(9, -1, -1)]
    assert found["blog.service"]["tail"] == ["quiet"]
    assert len(fake.asked) == 2


def test_a_journalctl_without_patterns_is_asked_for_all_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    without = answer(status=1, stderr="Compiled without pattern matching support")
    fake = Fake(without, answer(printed("WORKER TIMEOUT (pid:1)"), printed("GET /")))
    found = read(monkeypatch, fake, unit("shop.service"), notes=Notes())
    assert (found["shop.service"]["lines"], len(found["shop.service"]["events"])) == (2, 1)
    assert not [word for word in fake.asked[1] if word.startswith("--grep")]


@pytest.mark.parametrize(
    ("ran", "why"),
    [
        pytest.param(
            answer(
                status=1,
                stderr="Hint: Not all is seen\nNo journal files were opened due to insufficient permissions.\n",
            ),
            "No journal files were opened due to insufficient permissions.",
            id="not permitted",
        ),
        pytest.param(answer(stderr="No journal files were found."), "No journal files were found.", id="none kept"),
        pytest.param(
            answer(status=None, why="journalctl: No such file or directory"),
            "journalctl: No such file or directory",
            id="no systemd",
        ),
        pytest.param(
            answer(status=1, stderr="journalctl: unrecognized option '--output-fields'"),
            "journalctl: unrecognized option '--output-fields'",
            id="too old",
        ),
    ],
)
def test_what_cannot_be_read_is_said(ran: Ran, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    notes = Notes()
    found = read(monkeypatch, Fake(ran), unit("shop.service"), notes=notes)
    assert [(one["available"], one["why"]) for one in found.values()] == [(False, why)] * 2
    assert notes.entries == [{"what": "journals", "why": why}]


def test_what_a_hung_journalctl_had_printed_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    hung = answer(status=None, why="stdbuf did not end within 5 s", cut=printed("WORKER TIMEOUT (pid:1)") + '\n{"__RE')
    notes = Notes()
    found = read(monkeypatch, Fake(hung), unit("shop.service"), notes=notes)
    assert [one["signature"] for one in found["shop.service"]["events"]] == ["gunicorn_worker_timeout"]
    assert notes.entries == [{"what": "journals", "why": "journalctl did not end within 5 s"}]


def test_a_command_that_takes_too_long_leaves_what_it_printed() -> None:
    ran = run(["sh", "-c", "echo one; exec sleep 60"], seconds=3)
    assert (ran.status, ran.stdout, ran.cut) == (None, "", "one\n")


def test_nothing_is_asked_where_there_is_no_unit(monkeypatch: pytest.MonkeyPatch) -> None:
    fake, notes = Fake(answer()), Notes()
    assert read(monkeypatch, fake, notes=notes) == {}
    assert (fake.asked, notes.entries) == ([], [])


def test_a_log_of_its_own_counts_as_the_journal_of_a_unit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "fpm.log"
    log.write_text(
        time.strftime("[%d-%b-%Y %H:%M:%S] ", time.localtime(NOW - 60))
        + "WARNING: [pool www] server reached pm.max_children setting (5), consider raising it\n",
        encoding="utf-8",
    )
    monkeypatch.setattr(_journal, "run", Fake(answer(status=None, why="journalctl: No such file or directory")))
    found = _journal.read_journals(
        [unit("fpm.service"), unit("shop.service")],
        logs=[("fpm.service", str(log))],
        since=NOW - 86400,
        notes=Notes(),
    )
    assert [(one["unit"], one["available"], [event["signature"] for event in one["events"]]) for one in found] == [
        ("fpm.service", True, ["phpfpm_max_children"]),
        ("shop.service", False, []),
        ("kernel", False, []),
    ]
