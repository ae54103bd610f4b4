# Copyright: Contributors to the sre.bad_gateway project
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which run of a fleet is taken back. Modules are played: they say what is on record, then what they were asked for."""

from __future__ import annotations

from typing import Any

from ansible_collections.sre.bad_gateway.tests.unit.playbooks.conftest import Answer, Play, Player


def record(run_id: str, at: str, *, named: bool = True, rollback: bool = False) -> dict[str, Any]:
    return {"run_id": run_id, "named": named, "changed_at": f"2026-03-01T{at}:00Z", "rollback": rollback}


def on_record(*runs: dict[str, Any]) -> list[Answer]:
    """What the module answers when it is asked, and when it takes a run back."""
    return [
        {"changed": False, "changes": [], "runs": runs},
        {"changed": True, "changes": ["a file: as before the run"]},
    ]


OLD, NEW = record("old", "10:00"), record("new", "11:00")


def test_hosts_that_the_last_run_left_alone_keep_what_an_older_one_did(play: Play, host: Player) -> None:
    hosts = {
        "web1": host("web1", rollback=on_record(record("t1", "12:00", named=False, rollback=True), NEW, OLD)),
        "web2": host("web2", rollback=on_record(OLD)),
        "web3": host("web3", rollback=on_record()),
    }
    played = play("rollback", hosts)
    assert played.code == 0
    assert played.said('"run new"') == 3


def test_changes_without_a_run_are_each_hosts_own(play: Play, host: Player) -> None:
    hosts = {
        "web1": host("web1", rollback=on_record(record("t1", "12:00", named=False), NEW)),
        "web2": host("web2", rollback=on_record(record("t2", "12:01", named=False))),
        "web3": host("web3", rollback=on_record(NEW)),
    }
    played = play("rollback", hosts)
    assert played.code == 0
    assert [played.said(f'"run {run}"') for run in ("t1", "t2", "new")] == [1, 2, 0]


def test_a_run_that_no_host_knows_is_refused_with_those_there_are(play: Play, host: Player) -> None:
    hosts = {name: host(name, rollback=on_record(NEW, OLD)[:1]) for name in ("web1", "web2")}
    played = play("rollback", hosts, "-e", "rollback_run_id=mew")
    assert played.code == 2
    assert played.said("No host has a run 'mew' on record", "newest first: new, old") == 1


def test_a_part_of_a_run_is_known(play: Play, host: Player) -> None:
    played = play("rollback", {"web1": host("web1", rollback=on_record(NEW))}, "-e", "rollback_run_id=new/app")
    assert played.code == 0
    assert played.said('"run new/app"') == 1


def test_nothing_on_record_is_nothing_to_do(play: Play, host: Player) -> None:
    nothing = [{"changed": False, "changes": [], "runs": []}] * 2
    played = play("rollback", {"web1": host("web1", rollback=nothing)})
    assert played.code == 0
    assert played.said("No run is on record") == 1
